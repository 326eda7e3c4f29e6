"""The words of answers, by what they do to the number beside them.

Nouns are an open class: a counted noun is told by its plural, and what must not pass for one is in closed
classes, ``REFUSED``.
"""


def table(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


# Unit: how it is written.  Two units that are written differently here are different.
UNITS = {
    "mm": "mm millimeter millimeters millimetre millimetres",
    "cm": "cm cms centimeter centimeters centimetre centimetres",
    "dm": "dm decimeter decimeters decimetre decimetres",
    "m": "m meter meters metre metres",
    "km": "km kms kilometer kilometers kilometre kilometres",
    "in": "in inch inches",
    "ft": "ft foot feet",
    "yd": "yd yds yard yards",
    "mi": "mi mile miles",
    "mg": "mg milligram milligrams",
    "g": "g gm gms gram grams",
    "kg": "kg kgs kilogram kilograms kilo kilos",
    "ton": "ton tons tonne tonnes",
    "oz": "oz ounce ounces",
    "lb": "lb lbs pound pounds",
    "ml": "ml mL milliliter milliliters millilitre millilitres",
    "l": "l L liter liters litre litres",
    "gal": "gal gals gallon gallons",
    "ms": "ms millisecond milliseconds",
    "s": "s sec secs second seconds",
    "min": "min mins minute minutes",
    "h": "h hr hrs hour hours",
    "day": "day days",
    "week": "week weeks wk wks",
    "month": "month months",
    "year": "year years yr yrs",
    "mph": "mph",
    "kmh": "kph kmh kmph",
    "N": "N newton newtons",
    "J": "J joule joules",
    "kJ": "kJ kilojoule kilojoules",
    "W": "W watt watts",
    "kW": "kW kilowatt kilowatts",
    "V": "V volt volts",
    "C": "C coulomb coulombs",
    "T": "T tesla teslas",
    "A": "A amp amps ampere amperes",
    "ohm": "ohm ohms",
    "Pa": "Pa pascal pascals",
    "kPa": "kPa kilopascal kilopascals",
    "Hz": "Hz hertz",
    "K": "K kelvin kelvins",
    "celsius": "celsius",
    "fahrenheit": "fahrenheit",
    "eV": "eV",
    "mol": "mol mole moles",
    "rad": "rad radian radians",
    "deg": "deg degree degrees",
    "dollar": "dollar dollars usd buck bucks",
    "cent": "cent cents",
    "euro": "euro euros eur",
    "gbp": "gbp",
    "rupee": "rupee rupees rs inr",
    "yuan": "yuan rmb cny",
    "yen": "yen jpy",
    "cal": "cal calorie calories",
    "kcal": "kcal",
    "mpg": "mpg",
    "am": "am",
    "pm": "pm",
    "cup": "cup cups",
    "pint": "pint pints",
    "quart": "quart quarts",
    "acre": "acre acres",
    "ha": "ha hectare hectares",
    "point": "pt pts point points",
    "unit": "unit units",
}
UNIT = {spelling: unit for unit, spellings in UNITS.items() for spelling in spellings.split()}
COMPOUND = {("mi", "h"): "mph", ("km", "h"): "kmh", ("mi", "gal"): "mpg"}  # units with a name of their own
LETTERS = frozenset(spelling for spelling in UNIT if len(spelling) == 1) - {"K"}  # "5 K" may be 5,000
CURRENCIES = {"$": "dollars", "€": "euros", "£": "gbp", "¥": "yen", "₹": "rupees"}
POWERS = {"square": "2", "sq": "2", "cubic": "3", "cu": "3"}
# The words of a count that are no noun; nouns without the plural's s; what may end a count without a noun
# ("5 left"); what may stand before a noun ("3 more apples" are 3, "3 or more" are not).
INSIDE = table("per a an of the every in on for all this that these those to his her their")
COUNTED = table(
    "people men women children fish sheep deer feet teeth mice geese oxen cattle person dice data staff police "
    "money change profit fruit rice water milk bread man woman child way"
)
BEHIND = table(
    "total altogether overall left remaining each old tall long wide deep high away apart together apiece later "
    "now ago"
)
ADDED = table("more fewer extra additional")

KINDS = table(  # what an answer in words may be said of: "isosceles" may be "an isosceles triangle"
    "number integer function triangle quadrilateral polygon angle sequence series matrix curve graph"
)
MONTHS = table("January February March April May June July August September October November December")

REFUSED = {
    "numbers": table(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds "
        "thousand thousands million millions billion billions trillion trillions dozen dozens score gross pair "
        "pairs couple couples tens grand"
    ),
    "parts": table(
        "half halves third thirds quarter quarters fourth fourths fifth fifths sixth sixths seventh sevenths eighth "
        "eighths ninth ninths tenth tenths twelfth twelfths sixteenth sixteenths hundredth hundredths thousandth "
        "thousandths millionth millionths"
    ),
    "operators": table(
        "squared cubed factorial plus minus times over divided multiplied mod modulo choose power root raised negative "
        "log base inverse reciprocal reciprocals conjugate repeating recurring remainder twice thrice double triple "
        "doubled tripled halved opposite bar bars th st nd rd square cube add subtract multiply divide lose loses lost"
    ),
    "comparisons": table(
        "more less fewer greater smaller larger bigger least most than above below under exceeding beyond within "
        "between up down higher lower exceeds"
    ),
    "hedges": table(
        "about around approximately approx roughly nearly almost circa ish perhaps maybe possibly probably likely "
        "unlikely unsure unclear guess guessing might could may should would if unless except without assuming "
        "unknown somewhat close near depends depending sometimes presumably suppose ca"
    ),
    "negations": table(
        "not no never none neither nor cannot false wrong incorrect incorrectly impossible invalid untrue rather "
        "instead fails fail nothing nobody hardly excluding unequal can't isn't aren't wasn't weren't "
        "doesn't don't didn't won't couldn't"
    ),
    "joints": table("and or but until till versus vs either through thru"),
    "amounts": table("too many much few off short missing before after past"),
    "verbs": table("is was are were be been being has have had does do did as also then minuses pluses"),
}
NO_COUNT = frozenset.union(*REFUSED.values())
SWAYING = (
    NO_COUNT - REFUSED["verbs"]
)  # they change a number beside them, and the next ones even one behind "is"
UNNAMING = REFUSED["negations"] | table("maybe perhaps possibly probably might think thought guess")
DOUBTING = UNNAMING | REFUSED["hedges"] | REFUSED["joints"]
ROUNDED = table("about around approximately approx roughly")  # no hedge where the gold itself is rounded
MAGNITUDES = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
NUMERALS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
DIGITS = {word: n for n, word in enumerate(NUMERALS.split())}
TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
SILENT = table(
    "the a an answer answers final is are it its this that so thus therefore hence option choice correct be equals "
    "to in on at of by we he she they you"
)
RELATIVES = table("that which who whose to where when whenever with such because since if as for")
MATHEMATICS = table(
    "sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan log ln lg exp sqrt pi tau mod bmod lcm gcd max min "
    "det frac inf binom ker dim arg"
)
PERCENT = table("percent percentage pct")
# Bare letters that are words however short; other short ones are products of variables.
KNOWN = frozenset.union(NO_COUNT, SILENT, BEHIND, INSIDE, COUNTED, RELATIVES, PERCENT, POWERS, UNIT)
KNOWN -= LETTERS | table("a A K ha ms")
