"""Launch the compiler, or take the object that pip's build of this tree left: reuse_object.py LIST COMMAND ...

The list, made by `tools.objects_left_by_pip`, has the objects that are newer than all their sources. An object is
reused if its command is the same, ignoring output paths, -Werror, every -O but the last, and the position of -std,
which differs between CMake versions.
"""

import json
import os
import shutil
import subprocess
import sys


def essence(command):
    """Return the parts of a compiler's command, without its launcher, that determine the object."""
    first = next(i for i, argument in enumerate(command) if argument.startswith("-"))
    compiler = os.path.realpath(shutil.which(command[first - 1]) or command[first - 1])
    kept, levels, standards, arguments = [compiler], [], [], iter(command[first:])
    for argument in arguments:
        if argument in ("-o", "-MT", "-MF"):
            next(arguments)
        elif argument.startswith("-O"):
            levels.append(argument)
        elif argument.startswith("-std="):
            standards.append(argument)
        elif argument not in ("-MD", "-Werror"):
            kept.append(argument)
    return json.dumps(kept + levels[-1:] + standards[-1:])


if __name__ == "__main__":
    objects, command = sys.argv[1], sys.argv[2:]
    with open(objects) as file:
        left = json.load(file).get(essence(command))
    if left is None:
        sys.exit(subprocess.call(command))
    shutil.copyfile(left["object"], command[command.index("-o") + 1])
    with open(command[command.index("-MF") + 1], "w") as file:
        file.write(f"{command[command.index('-MT') + 1]}: {' '.join(left['sources'])}\n")
