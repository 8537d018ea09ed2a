# Finishes a deployment that was committed: tagonode deploy has put new files into /incoming, named as their paths with
# | for /, and written down there what to move into place and what to remove. Whenever the power goes, it starts over.


def finish():
    import os

    try:
        journal = open("/incoming/commit")
    except OSError:
        return  # nothing to finish
    with journal:
        for line in journal:
            path = line[1:-1]
            try:
                if line[0] == "+":
                    os.rename("/incoming/" + path.replace("/", "|"), path)
                else:
                    os.remove(path)
            except OSError as error:
                # moved before the power went; what a folder still holds is not ours
                if line[0] == "+" and error.errno != 2:
                    raise
    try:
        os.remove("/crashes")  # they were another version's: no safe mode for this one
    except OSError:
        pass
    try:
        for name in os.listdir("/remote"):  # likewise
            os.remove("/remote/" + name)
    except OSError:
        pass
    os.remove("/incoming/commit")
    os.remove("/incoming")


finish()
del finish
