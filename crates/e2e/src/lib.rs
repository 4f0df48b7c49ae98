//! Stories about the whole system, told by its executables as separate processes over HTTP: `tests/it`. Nothing is here.
