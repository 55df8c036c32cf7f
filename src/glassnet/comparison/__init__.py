"""Which of these is better? Several networks or recipes, one budget, several seeds, and what the numbers do not say.

`statistics` is the arithmetic of intervals, `options` what is compared, `studies` the questions of beginners, ready
made; `compare` trains, `results` gathers, `findings` says it in sentences, `plot` draws it.
"""
