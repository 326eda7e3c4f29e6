"""Figures that RETU and Quagmires print, cited: their claims are checked on these and on the data files.

v1 is arXiv 2512.11470v1 of RETU, the camera-ready its later version with the released curves and fit
scripts; Quagmires is arXiv 2510.01624.  Scores are in points, compute in exaFLOPs.
"""

import io

import pandas as pd

SETS = ("S1K", "Easy102K", "Uniform102K", "Hard102K", "SFT889K")
BY_SCALE = ("S1K", "Uniform102K", "SFT889K")  # of like difficulty: v1, section 6.2.2

# The released fit scripts, run by run, as in `sigmoid.PaperSettings`: the points fitted (the one at
# x = 0 counts), the share that LTS keeps and tau (empty: off), whether the start is free.  LTS starts from all points alone:
# of its optima those rebuild the published ceilings best, and random starts move S1K-62 by 0.4 points away.
SCRIPTS = pd.read_csv(
    io.StringIO("""run,first,last,alpha,tau,free_start
base-0,0,34,,2.5,0
SFT889K-360,0,15,,2.5,0
SFT889K-720,0,18,0.75,3.0,0
SFT889K-1080,0,21,0.75,4.0,0
SFT889K-1440,0,16,0.85,4.0,0
SFT889K-1800,0,19,0.75,3.0,0
SFT889K-3600,0,18,,4.0,0
SFT889K-5400,0,15,,2.5,0
SFT889K-7200,0,13,0.75,2.5,0
SFT889K-9000,0,22,,2.5,0
SFT889K-10800,0,16,0.85,2.5,0
SFT889K-12600,0,15,0.75,3.0,0
SFT889K-14080,0,22,,2.5,0
Easy102K-360,0,21,,2.5,0
Easy102K-720,0,31,,2.5,0
Easy102K-1080,0,63,,2.5,0
Easy102K-1440,0,37,0.75,2.5,0
Easy102K-1800,0,15,,2.5,0
Hard102K-360,0,22,,4.0,0
Hard102K-720,0,27,0.85,4.0,0
Hard102K-1080,0,35,0.85,2.5,0
Hard102K-1440,0,26,0.85,2.5,0
Hard102K-1800,0,27,,2.5,0
S1K-62,12,80,0.75,2.5,1
S1K-124,0,55,0.85,3.0,0
S1K-186,0,65,,2.5,0
S1K-248,0,56,0.75,2.5,0
S1K-310,8,70,0.75,3.0,1
Uniform102K-360,0,70,,2.5,0
Uniform102K-720,0,17,0.75,4.0,0
Uniform102K-1080,10,70,,2.5,1
Uniform102K-1440,0,53,,2.5,0
Uniform102K-1800,0,59,,2.5,0
""")
).assign(starts=0)

# The camera-ready's figure of SFT compute: (P_sft, A_post) after each SFT step.
CAMERA_READY = {
    "base": {0: (46.7, 72.0)},
    "S1K": {62: (68.6, 77.3), 124: (70.9, 77.0), 186: (72.9, 76.9), 248: (74.1, 76.5), 310: (73.1, 76.4)},
    "Easy102K": {
        360: (70.7, 76.7), 720: (73.3, 78.5), 1080: (74.2, 78.8), 1440: (74.8, 76.8), 1800: (74.4, 77.8),
        6120: (73.3, 74.4),
    },
    "Uniform102K": {
        360: (72.2, 76.9), 720: (74.5, 77.6), 1080: (74.8, 79.7), 1440: (75.7, 77.5), 1800: (75.5, 79.3),
    },
    "Hard102K": {
        360: (73.2, 78.1), 720: (74.7, 77.8), 1080: (76.2, 82.8), 1440: (76.9, 80.2), 1800: (76.1, 78.7),
    },
    "SFT889K": {
        360: (69.2, 82.5), 720: (71.9, 80.7), 1080: (73.0, 80.1), 1440: (73.3, 80.3), 1800: (74.1, 81.0),
        3600: (76.5, 83.1), 5400: (77.5, 82.8), 7200: (77.3, 84.0), 9000: (76.7, 83.4), 10800: (77.7, 83.1),
        12600: (77.1, 83.0), 14080: (76.2, 84.0),
    },
}  # fmt: skip
SEVERE = "Easy102K", 6120  # in Table 4 and in the averages of neither version

# The same figure: averages of P_sft, PL_rl and A_post over a set's checkpoints.
PANEL_AVERAGES = {
    "S1K": (71.9, 4.9, 76.8),
    "Easy102K": (73.5, 4.2, 77.7),
    "Uniform102K": (74.5, 3.7, 78.2),
    "Hard102K": (75.4, 4.1, 79.5),
    "SFT889K": (75.0, 7.3, 82.3),
}

# The same figure: validation losses by SFT step, read from its pixels (+-0.002) to the two digits
# that it prints, and the sub-phases that it shades.
LOSSES = {
    "S1K": {0: 0.71, 62: 0.52, 124: 0.51, 186: 0.53, 248: 0.55, 310: 0.56},
    "Easy102K": {0: 0.71, 360: 0.45, 720: 0.44, 1080: 0.46, 1440: 0.47, 1800: 0.47, 6120: 0.87},
    "Uniform102K": {0: 0.71, 360: 0.43, 720: 0.42, 1080: 0.43, 1440: 0.44, 1800: 0.44},
    "Hard102K": {0: 0.71, 360: 0.42, 720: 0.40, 1080: 0.40, 1440: 0.40, 1800: 0.40},
    "SFT889K": {
        0: 0.71, 360: 0.46, 720: 0.43, 1080: 0.42, 1440: 0.41, 1800: 0.40, 3600: 0.38, 5400: 0.373,
        7200: 0.37, 9000: 0.37, 10800: 0.37, 12600: 0.37, 14080: 0.37,
    },
}  # fmt: skip
SHADED = {
    "S1K": "adaptive stable stable mild mild mild",
    "Easy102K": "adaptive stable stable mild mild mild severe",
    "Uniform102K": "adaptive adaptive stable stable mild mild",
    "Hard102K": "adaptive adaptive stable stable stable stable",
    "SFT889K": "adaptive " * 8 + "stable " * 5,
}
PHASES = {name: dict(zip(LOSSES[name], SHADED[name].split(), strict=True)) for name in SETS}

# v1, Table 1 (Llama-3.2-3B): minimum validation loss, best score of SFT and after RL; single runs.
LLAMA = {
    "S1K": (0.70, 24.0, 24.9),
    "Easy102K": (0.59, 52.0, 53.7),
    "Uniform102K": (0.54, 53.2, 55.1),
    "Hard102K": (0.50, 55.3, 56.3),
    "SFT889K": (0.40, 67.1, 70.1),
}
LLAMA_BASE, LLAMA_UPT, LLAMA_SFT_DAPO_D = 2.3, 12.2, 68.7

# v1, Table 3: prompt and response tokens of Easy102K (the code has 2,153); win rate of Hard102K.
EASY_TOKENS = 64 + 2253
HARD_WIN_RATE, HARD_STRATA = 0.09, (0.0, 0.25)

# Where SFT889K comes from: v1, appendix E.1, and a summary of the paper.
SOURCES = {"AM-DeepSeek-R1-Distilled-1.4M", "AM-DeepSeek-Distilled-40M"}
SUMMARY_SOURCES = {"AM-DeepSeek-R1-Distilled-1.4M"}

# Quagmires: by model, what predicts, and the correlation or R^2 with the score after RL.
SPEARMAN = {  # Tables 1 and 3
    "Llama": {"pass@1": 0.75, "loss": 0.94, "pass@64": 0.95, "average": 0.97},
    "Mistral": {"pass@1": 0.78, "loss": 0.90, "pass@64": 0.92, "average": 0.90},
    "Llama, by instance": {"pass@1": 0.69, "pass@64": 0.94},
    "Mistral, by instance": {"pass@1": 0.70, "pass@64": 0.98},
}
R2 = {  # Tables 2 and 4; Mistral's pass@1, absent from Table 2, is that of Table 6
    "Llama": {"pass@1": 0.57, "loss": 0.88, "pass@64": 0.87, "average": 0.94},
    "Mistral": {"pass@1": 0.29, "loss": 0.79, "pass@64": 0.57, "average": 0.72},
    "Llama, by instance": {"pass@1": 0.58, "pass@64": 0.92},
    "Mistral, by instance": {"pass@1": 0.73, "pass@64": 0.98},
}
# Table 5, Llama: R^2 of pass@1, loss, pass@64 and their average, by models fitted of 16.
LLAMA_SPLITS = {
    3: (0.48, 0.80, 0.80, 0.86),
    4: (0.57, 0.82, 0.84, 0.92),
    5: (0.57, 0.88, 0.87, 0.94),
    6: (0.57, 0.89, 0.87, 0.95),
    7: (0.64, 0.89, 0.90, 0.95),
    8: (0.64, 0.88, 0.88, 0.93),
    10: (0.59, 0.85, 0.85, 0.94),
    12: (0.54, 0.86, 0.81, 0.91),
}
LLAMA_MODELS = 16
# Tables 8 and 10: Spearman by SFT budget (< 2B, 2-5B, 5-20B tokens) and the printed average.
BUDGETS = {
    "Llama, pass@1": ((0.77, 0.60, 0.70), 0.69),
    "Llama, pass@64": ((0.99, 0.90, 0.94), 0.94),
    "Mistral, pass@1": ((0.80, 0.80, 0.50), 0.70),
    "Mistral, pass@64": ((0.95, 1.00, 1.00), 0.98),
}
