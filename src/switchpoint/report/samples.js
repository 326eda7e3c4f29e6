// The page of samples.  The hash of its address is all of its state: a choice changes the hash, and the hash is drawn.
"use strict";
(() => {
  const ROWS = 50; // problems on a page of the table
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const [filters, table, reader] = [byId("filters"), byId("cells"), byId("reader")];
  const placeOf = { problem: places(data.problems), checkpoint: places(data.checkpoints) };
  const totals = data.counts.map((counts) => counts.slice(0, -1).reduce((sum, n) => sum + n, 0));
  const searched = data.problems.map((one) => `${one.id} ${one.problem}`.toLowerCase());
  const taken = new Map(); // what the scripts of blocks brought, by their numbers
  const loading = new Map(); // promises of blocks' cells
  let view = { rows: [], columns: [] }; // the problems and checkpoints that the filters leave
  let drawn = null; // the filters that the table is drawn by

  function places(list) {
    return new Map(list.map((one, place) => [one.id, place]));
  }

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  // The state

  function state() {
    return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  }

  function address(fields) {
    return `#${new URLSearchParams(Object.entries({ page: 1, ...fields }).filter(([, value]) => value !== ""))}`;
  }

  function choose(change) {
    location.replace(address({ ...state(), ...change }));
  }

  function open(problem, checkpoint) {
    const ids = { problem: data.problems[problem].id, checkpoint: data.checkpoints[checkpoint].id };
    location.assign(address({ ...state(), ...ids }));
  }

  function draw() {
    const now = state();
    const { problem, checkpoint, ...chosen } = { page: "1", ...now };
    if (drawn !== JSON.stringify(chosen)) {
      drawn = JSON.stringify(chosen);
      for (const control of filters.querySelectorAll("[name]")) control.value = now[control.name] ?? "";
      view = select(now);
      drawTable(Number(now.page) || 1);
    }
    if (problem !== undefined) read(now);
    else if (reader.open) reader.close();
  }

  // The table

  function select(now) {
    const pair = [now.first, now.second].map((id) => placeOf.checkpoint.get(id));
    const compared = !pair.includes(undefined);
    const all = data.checkpoints.map((_, place) => place);
    const columns = compared ? pair : all.filter((place) => !now.group || data.checkpoints[place].group === now.group);
    const outcome = data.outcomes.findIndex(([name]) => name === now.outcome);
    const words = (now.words ?? "").toLowerCase();
    const rows = data.problems.map((_, place) => place).filter((place) =>
      (!now.benchmark || data.problems[place].benchmark === now.benchmark)
      && searched[place].includes(words)
      && (outcome < 0 || columns.some((column) => countsOf(place, column)[outcome] > 0))
      && (!compared || differ(place, ...pair)));
    return { rows, columns, outcome };
  }

  function countsOf(problem, checkpoint) {
    return data.counts[data.cells[checkpoint][problem]];
  }

  // Whether two checkpoints answered a problem, and not the same share of it right.
  function differ(problem, first, second) {
    const [one, other] = [data.cells[first][problem], data.cells[second][problem]];
    return totals[one] > 0 && totals[other] > 0 && data.counts[one][0] * totals[other] !== data.counts[other][0] * totals[one];
  }

  function drawTable(page) {
    const last = Math.max(Math.ceil(view.rows.length / ROWS), 1);
    const shown = Math.min(Math.max(page, 1), last);
    const head = view.columns.map((place) => element("th", { scope: "col" }, data.checkpoints[place].label));
    const body = view.rows.slice((shown - 1) * ROWS, shown * ROWS).map(drawRow);
    table.replaceChildren(
      element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Problem"), ...head)),
      element("tbody", {}, ...body),
    );
    table.querySelector("td")?.setAttribute("tabindex", "0");
    byId("matches").textContent = `${view.rows.length} of ${data.problems.length} problems, page ${shown} of ${last}`;
    for (const button of document.querySelectorAll("[data-turn]")) {
      const target = shown + Number(button.dataset.turn);
      enable(button, target >= 1 && target <= last, () => choose({ page: target }));
    }
  }

  function drawRow(place) {
    const { id, problem } = data.problems[place];
    const name = element("th", { scope: "row", title: problem.slice(0, 500) }, id, " ", element("small", {}, problem.slice(0, 80)));
    return element("tr", {}, name, ...view.columns.map((column) => drawCell(place, column)));
  }

  function drawCell(problem, checkpoint) {
    const counts = countsOf(problem, checkpoint);
    const total = totals[data.cells[checkpoint][problem]];
    const said = inWords(counts, total);
    const made = element("td", { tabindex: -1, "aria-label": said, title: said, "data-problem": problem, "data-checkpoint": checkpoint });
    made.textContent = total === 1 ? data.outcomes.map(([, mark], place) => (counts[place] ? mark : "")).join("") : total ? `${counts[0]}/${total}` : "–";
    made.style.setProperty("--share", total ? counts[0] / total : 0);
    made.classList.toggle("none", total === 0);
    made.classList.toggle("found", view.outcome >= 0 && counts[view.outcome] > 0);
    return made;
  }

  function inWords(counts, total) {
    const parts = data.outcomes.map(([name], place) => `${counts[place]} ${name}`).filter((_, place) => counts[place]);
    return total ? `${parts.join(", ")} of ${total}` : "no response";
  }

  function enable(button, enabled, act) {
    button.setAttribute("aria-disabled", !enabled);
    button.onclick = enabled ? act : null;
  }

  // The reader

  async function read(now) {
    const problem = placeOf.problem.get(now.problem);
    const checkpoint = placeOf.checkpoint.get(now.checkpoint);
    const known = problem !== undefined && checkpoint !== undefined;
    byId("title").textContent = known ? `${now.problem}, ${data.checkpoints[checkpoint].label}` : "Not in this study";
    byId("asked").replaceChildren(...(known ? describe(problem, checkpoint) : []));
    byId("responses").replaceChildren();
    byId("progress").textContent = known ? "Loading…" : `It has no ${problem === undefined ? `problem ${now.problem}` : `checkpoint ${now.checkpoint}`}.`;
    for (const button of reader.querySelectorAll("[data-step]")) offer(button, problem, checkpoint);
    if (!reader.open) reader.showModal();
    reader.scrollTop = 0;
    if (!known) return;
    const [responses, trouble] = await responsesTo(problem, checkpoint).then((found) => [found, ""], (error) => [[], error.message]);
    if (state().problem !== now.problem || state().checkpoint !== now.checkpoint) return; // another was asked for meanwhile
    byId("responses").replaceChildren(...responses.map(drawResponse));
    byId("progress").textContent = trouble || (responses.length ? "" : "No response.");
  }

  // A button to the next problem or checkpoint of the table.
  function offer(button, problem, checkpoint) {
    const { step, by } = button.dataset;
    const line = step === "problem" ? view.rows : view.columns;
    const here = line.indexOf(step === "problem" ? problem : checkpoint);
    const target = here < 0 ? undefined : line[here + Number(by)];
    const id = target === undefined ? "" : data[`${step}s`][target].id;
    enable(button, target !== undefined, () => choose({ [step]: id }));
  }

  function describe(place, column) {
    const { id, benchmark, problem, answer } = data.problems[place];
    const counts = countsOf(place, column);
    const link = address({ problem: id, checkpoint: data.checkpoints[column].id });
    return [
      facts([
        ["Benchmark", benchmark],
        ["Responses", inWords(counts, totals[data.cells[column][place]])],
        ["Link", element("a", { href: link }, "to this cell")],
      ]),
      element("h3", {}, "Problem"),
      element("pre", {}, problem),
      facts([["Gold answer", element("span", {}, ...answer.flatMap((one, n) => [n ? " or " : "", element("code", {}, one)]))]]),
    ];
  }

  function drawResponse(row) {
    const one = Object.fromEntries(data.fields.map((name, place) => [name, row[place]]));
    const outcome = one.verdict !== "graded" ? one.verdict : one.correct ? "right" : "wrong";
    const [, mark] = data.outcomes.find(([name]) => name === outcome) ?? [];
    return element("article", { class: outcome },
      element("h3", {}, `Response ${one.sample + 1}: ${mark ?? ""} ${outcome}`),
      facts([
        ["Verdict", one.verdict],
        ["Extracted answer", one.extracted === null ? "none" : element("code", {}, one.extracted)],
        ["Tokens", String(one.n_tokens)],
        ["Truncated", one.truncated ? "yes" : "no"],
      ]),
      one.text === "" ? element("p", {}, "The response is empty.") : element("pre", {}, one.text));
  }

  function facts(pairs) {
    return element("dl", {}, ...pairs.map(([name, value]) =>
      element("div", {}, element("dt", {}, name), " ", element("dd", {}, value))));
  }

  // Blocks

  window.takeBlock = (key, number, cells) => taken.set(number, { key, cells });

  async function responsesTo(problem, checkpoint) {
    const number = data.blocks.findLastIndex(([column, first]) => column === checkpoint && first <= problem);
    if (number < 0) return [];
    if (!loading.has(number)) loading.set(number, load(number));
    try {
      return (await loading.get(number)).get(problem) ?? [];
    } catch (error) {
      loading.delete(number); // to be tried again
      throw error;
    }
  }

  function load(number) {
    const source = `${data.folder}/${String(number).padStart(4, "0")}.js`;
    return new Promise((resolve, reject) => {
      const script = element("script", { src: source });
      script.onerror = () => reject(new Error(`${source} cannot be read: keep this folder beside the page.`));
      script.onload = () => {
        const block = taken.get(number);
        if (block?.key === data.key) resolve(new Map(block.cells));
        else reject(new Error(`${source} is of other samples than this page: make both again, and load the page anew.`));
      };
      document.head.append(script);
    });
  }

  // What is done to the page

  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.addEventListener("reset", () => location.replace(address({})));
  filters.addEventListener("change", ({ target }) => choose({ [target.name]: target.value, page: 1 }));
  let pause;
  filters.elements.words.addEventListener("input", ({ target }) => {
    clearTimeout(pause);
    pause = setTimeout(() => choose({ words: target.value, page: 1 }), 200);
  });
  table.addEventListener("click", ({ target }) => openCell(target.closest("td")));
  table.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td");
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], PageUp: [-10, 0], PageDown: [10, 0],
      ArrowLeft: [0, -1], ArrowRight: [0, 1], Home: [0, -Infinity], End: [0, Infinity] }[event.key];
    if (!cell || event.altKey || event.metaKey || event.ctrlKey) return;
    if (event.key === "Enter" || event.key === " ") openCell(cell);
    else if (way) move(cell, ...way);
    else return;
    event.preventDefault();
  });
  table.addEventListener("focusin", ({ target }) => {
    for (const cell of table.querySelectorAll("td[tabindex='0']")) cell.setAttribute("tabindex", "-1");
    target.setAttribute("tabindex", "0");
  });
  reader.querySelector("[data-close]").addEventListener("click", () => reader.close());
  reader.addEventListener("close", () => {
    const { problem, checkpoint } = state();
    const [row, column] = [placeOf.problem.get(problem), placeOf.checkpoint.get(checkpoint)];
    if (problem !== undefined) choose({ problem: "", checkpoint: "" });
    table.querySelector(`[data-problem="${row}"][data-checkpoint="${column}"]`)?.focus();
  });

  function openCell(cell) {
    if (cell) open(Number(cell.dataset.problem), Number(cell.dataset.checkpoint));
  }

  function move(cell, down, right) {
    const rows = [...cell.closest("tbody").rows];
    const within = (place, last) => Math.min(Math.max(place, 0), last);
    const row = rows[within(rows.indexOf(cell.parentElement) + down, rows.length - 1)];
    row.cells[1 + within(cell.cellIndex - 1 + right, row.cells.length - 2)].focus();
  }

  window.addEventListener("hashchange", draw);
  draw();
})();
