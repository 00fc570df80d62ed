"""How fast numsnn is: beside its peers on a CPU (`compare`) and on a GPU (`gpu`), and beside itself (`pair`)."""
