"""`micropython`: hints to the compiler and the interpreter, without effect here."""


def const(value):
    return value


def native(function):
    return function


viper = bytecode = native


def opt_level(level=None):
    return 0 if level is None else None


def alloc_emergency_exception_buf(size):
    pass


def mem_info(verbose=None):
    pass


def qstr_info(verbose=None):
    pass


def stack_use():
    return 0


def heap_lock():
    return 0


def heap_unlock():
    return 0


def kbd_intr(char):
    pass


def schedule(function, argument):
    function(argument)
