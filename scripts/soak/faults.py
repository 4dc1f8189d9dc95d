"""What went wrong: anything in here makes a soak fail."""

import sys
import time

SHOWN = 30


class Faults:
    def __init__(self):
        self.number, self.shown = 0, []

    def add(self, text):
        self.number += 1
        if len(self.shown) < SHOWN:
            self.shown.append(text)
            print(f"{time.strftime('%H:%M:%S')} FAULT {text}", file=sys.stderr, flush=True)
