"""Files of named arrays: HDF5 that every HDF5 program opens, which numsnn reads without the HDF5 library.

The HDF5 library follows damaged lengths and links wherever they lead: it hangs, crashes, or returns other numbers in
silence. Therefore each file that numsnn writes has a seal, from which its arrays are found and verified. Files without
one, which earlier versions wrote, are looked through in a separate process (`numsnn.apart`), and their numbers are
taken by the same code.

`form` says what a seal is, `writing` and `reading` write and read files with one, and `opening` reads those without.
"""

from ..apart import Damage
from .opening import opened
from .reading import ArrayFile, StoredArray
from .writing import SealedWriter, sealing

__all__ = ["ArrayFile", "Damage", "SealedWriter", "StoredArray", "opened", "sealing"]
