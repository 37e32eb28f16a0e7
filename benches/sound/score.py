"""Means of PESQ-WB and PLCMOS v2 over pairs of files: SAID tab HEARD, a line each, from standard input.

    pip install numpy scipy soundfile pesq        for PESQ-WB
    pip install onnxruntime speechmos librosa requests     for PLCMOS as well

Each pair is laid over each other by its cross-correlation. PLCMOS draws its raters by chance: the
seed is fixed. Unprocessed speech scores 4.64 by PESQ-WB, and 3.75 to 4.4 by PLCMOS.
"""

import json
import sys

try:
    import numpy as np
    import soundfile
    from pesq import pesq
    from scipy.signal import correlate, resample_poly
except ImportError as missing:
    sys.exit(f"no scores: {missing}; pip install numpy scipy soundfile pesq")
try:
    from speechmos import plcmos
except ImportError:
    plcmos = None

RATE = 16000


def load(path):
    samples, rate = soundfile.read(path, dtype="float64")
    return resample_poly(samples, RATE, rate)


def scores(said, heard):
    likeness = correlate(heard, said, "full", "fft")
    lag = max(int(np.argmax(likeness)) - (len(said) - 1), 0)
    heard = heard[lag : lag + len(said)]
    said = said[: len(heard)]
    result = {"pesq": pesq(RATE, said, heard, "wb")}
    if plcmos:
        np.random.seed(1)
        result["plcmos"] = plcmos.run(np.clip(heard, -1, 1), sr=RATE)["plcmos"]
    return result


def main():
    pairs = [line.rstrip("\n").split("\t") for line in sys.stdin]
    found = [scores(load(said), load(heard)) for said, heard in pairs]
    names = found[0]
    print(json.dumps({name: float(np.mean([one[name] for one in found])) for name in names}))


main()
