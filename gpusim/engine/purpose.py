"""What random numbers are for."""

import enum


class Purpose(enum.IntEnum):
    """What random numbers and counts of neighbours are for; each purpose has its own."""

    TISSUE_RULES = 0
    IMMUNE_RULES = 1
    TISSUE_MOTION = 2
    IMMUNE_MOTION = 3
    EXCHANGE = 4
    REACTIONS = 5
    TISSUE_DIVISION = 6
    IMMUNE_DIVISION = 7
    WALLS = 8
    CLOSING = 9
    ADHESION = 10
    TISSUE_LAWS = 11
    IMMUNE_LAWS = 12
    START = 13
    PUT_IN = 14
    TRANSFERS = 15
    ADVECTION = 16
