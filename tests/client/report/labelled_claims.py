"""Claims with what a careful reader says of them, to set the thresholds of the check by.

`yes`: the page says it; `no`: it does not, or says something else; `roughly`: it says a part, or
says it in words that only a reader recognises. Written for this test.
"""

from typing import Literal

Label = Literal["yes", "roughly", "no"]

PAGES: dict[str, tuple[str, str]] = {
    "curie": (
        "Marie Curie",
        """# Marie Curie

Marie Curie (1867–1934) was a physicist and chemist born in [Warsaw](../cities/warsaw.md) who
discovered the elements **polonium** and radium. Marie Curie was the first woman to win
a Nobel Prize.

## Life

She was born in Warsaw on 7 November 1867. Her name at birth was Maria Skłodowska. Marie Curie
moved to Paris in 1891 and studied at the Sorbonne. Marie Curie married the physicist Pierre Curie
in 1895. Pierre Curie was born in Paris and was killed by a carriage in 1906. Their daughter Irène
Joliot-Curie won the Nobel Prize in Chemistry in 1935. She never patented the isolation of radium.
She said that "nothing in life is to be feared, it is only to be understood".""",
    ),
    "dam": (
        "Vell Dam",
        """Vell Dam is a gravity dam on the river Orra. It is 142 m high and holds 1,350,000,000
cubic metres of water. Construction began in 1961 and took eight years. Twelve workers died. The
power station below the dam has four turbines with 210 MW each. - It supplies the city of Tarn.
- Fish ladders were added in 2004. The dam was not damaged by the earthquake of 1987.""",
    ),
    "lake": (
        "琵琶湖",
        "琵琶湖は滋賀県にある日本最大の湖である。面積は約670平方キロメートルで、県の面積の6分の1を占める。"
        "湖の水は瀬田川から流れ出る。最も深い所は104メートルである。冬でも湖面は凍らない。",
    ),
    "tea": (
        "Tee",
        "Tee ist ein Getränk aus den Blättern der Teepflanze. Der Anbau begann in China. Im Jahr"
        " 1610 brachte die Niederländische Ostindien-Kompanie den ersten Tee nach Europa."
        " In Ostfriesland trinkt jeder Mensch im Durchschnitt 300 Liter Tee im Jahr.",
    ),
}

CLAIMS: tuple[tuple[str, str, Label], ...] = (
    ("curie", "Marie Curie was born in Warsaw on 7 November 1867.", "yes"),
    ("curie", "Marie Curie discovered polonium and radium.", "yes"),
    ("curie", "In 1891, Marie Curie moved to Paris to study at the Sorbonne.", "yes"),
    ("curie", "Marie Curie was the first woman who won a Nobel Prize.", "yes"),
    ("curie", "She married Pierre Curie, a physicist, in 1895.", "yes"),
    ("curie", "At birth her name was Maria Skłodowska.", "yes"),
    ("curie", "Irène Joliot-Curie, their daughter, won the 1935 Nobel Prize in Chemistry.", "yes"),
    ("curie", "Pierre Curie was killed by a carriage in 1906.", "yes"),
    ("curie", "Marie Curie never patented the isolation of radium.", "yes"),
    ("curie", "She said: “Nothing in life is to be feared, it is only to be understood.”", "yes"),
    ("curie", "Marie Curie, born Maria Skłodowska, was born in Warsaw in 1867.", "yes"),
    (
        "curie",
        "The elements polonium and radium were discovered by the physicist Marie Curie.",
        "yes",
    ),
    ("curie", "Marie Curie was born in Paris.", "no"),
    ("curie", "Pierre Curie was born in Warsaw.", "no"),
    ("curie", "Marie Curie was born in Warsaw in 1876.", "no"),
    ("curie", "Marie Curie married Henri Becquerel in 1895.", "no"),
    ("curie", "Marie Curie discovered uranium and thorium.", "no"),
    ("curie", "Marie Curie won the Nobel Prize in Literature in 1935.", "no"),
    ("curie", "Marie Curie patented the isolation of radium.", "no"),
    ("curie", "She said: “Life is full of fear, which nobody ever understands.”", "no"),
    ("curie", "Marie Curie taught mathematics at the University of Vienna.", "no"),
    ("curie", "Her work changed how hospitals treat patients with cancer.", "no"),
    ("curie", "Albert Einstein admired Marie Curie.", "no"),
    ("curie", "Einstein was born in Warsaw on 7 November 1867.", "no"),
    ("curie", "Paris was where she was born on 7 November 1867.", "no"),
    ("curie", "Curie moved to Paris in 1891 and studied at the Sorbonne.", "yes"),
    ("curie", "Marie Curie emigrated to France in 1891.", "roughly"),
    ("curie", "Marie Curie found two new elements.", "roughly"),
    ("curie", "Pierre Curie died in an accident in 1906.", "roughly"),
    ("dam", "Vell Dam is 142 m high.", "yes"),
    ("dam", "The Vell Dam holds 1.350.000.000 cubic metres of water.", "yes"),
    ("dam", "Construction of the dam began in 1961 and took 8 years.", "yes"),
    ("dam", "The power station has four turbines of 210 MW.", "yes"),
    ("dam", "Vell Dam, a gravity dam, stands on the river Orra.", "yes"),
    ("dam", "In 2004 fish ladders were added.", "yes"),
    ("dam", "The earthquake of 1987 did not damage the dam.", "yes"),
    ("dam", "12 workers died.", "yes"),
    ("dam", "The earthquake of 1987 damaged the dam.", "no"),
    ("dam", "Vell Dam is 124 m high.", "no"),
    ("dam", "The power station has six turbines of 210 MW.", "no"),
    ("dam", "Vell Dam is an arch dam on the river Tarn.", "no"),
    ("dam", "Fish ladders were removed in 2004.", "no"),
    ("dam", "The dam attracts many tourists every summer.", "no"),
    ("dam", "Brandt designed four turbines with 210 MW each.", "no"),
    ("dam", "Turbines of 210 MW work in the power station below the dam.", "yes"),
    ("dam", "Construction was finished in 1969.", "roughly"),
    ("lake", "琵琶湖は滋賀県にある日本最大の湖です。", "yes"),
    ("lake", "湖の水は瀬田川から流れ出る。", "yes"),
    ("lake", "琵琶湖の最も深い所は104メートルである。", "yes"),
    ("lake", "琵琶湖の面積は約670平方キロメートルである。", "yes"),
    ("lake", "琵琶湖は北海道にある日本最大の湖である。", "no"),
    ("lake", "琵琶湖の面積は約760平方キロメートルである。", "no"),
    ("lake", "冬には湖面が厚い氷で覆われ、多くの観光客が訪れる。", "no"),
    ("lake", "湖の水は利根川から流れ出る。", "no"),
    ("tea", "Der Anbau von Tee begann in China.", "yes"),
    ("tea", "1610 brachte die Niederländische Ostindien-Kompanie Tee nach Europa.", "yes"),
    ("tea", "In Ostfriesland trinkt jeder Mensch im Durchschnitt 300 Liter Tee.", "yes"),
    ("tea", "Der Anbau von Tee begann in Indien.", "no"),
    ("tea", "1710 brachte die Niederländische Ostindien-Kompanie Tee nach Europa.", "no"),
    ("tea", "In Bayern trinkt jeder Mensch im Durchschnitt 300 Liter Tee.", "no"),
)
