"""What a program of a test needs to print the memory that it took."""

PEAK = '''
def peak():
    """The most memory that this process held, in KiB; ru_maxrss holds that of the process which started it too."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
'''
