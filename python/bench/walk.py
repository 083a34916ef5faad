"""Walks tasks with comm, state and stack, as often as it takes to visit so many, by crashlens or by drgn.

    python walk.py crashlens DUMP [VMLINUX] [--tasks 30000]
    python walk.py drgn DUMP VMLINUX

Says how many tasks and frames that were, how many seconds the walk took, and how many the whole with opening.
"""

import argparse
import json
import sys
import time

BEGAN = time.monotonic()


def by_crashlens(files):
    import crashlens

    dump = crashlens.open(*files)

    def walk():
        for task in dump.tasks():
            yield task.comm, task.state, [frame.name for frame in task.stack()]

    return walk


def by_drgn(files):
    import drgn
    from drgn.helpers.linux.pid import for_each_task
    from drgn.helpers.linux.sched import task_state_to_char

    program = drgn.Program()
    program.set_core_dump(files[0])
    program.load_debug_info(files[1:])

    def walk():
        for task in for_each_task(program):
            try:
                names = [frame.name for frame in program.stack_trace(task)]
            except ValueError:
                # it refuses tasks that run and have no registers in the dump
                names = []
            yield task.comm.string_().decode(), task_state_to_char(task), names

    return walk


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("by", choices=["crashlens", "drgn"])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--tasks", type=int, default=30_000)
    args = parser.parse_args()
    walk = {"crashlens": by_crashlens, "drgn": by_drgn}[args.by](args.files)
    opened = time.monotonic()
    tasks = frames = 0
    while tasks < args.tasks:
        before = tasks
        for _, _, names in walk():
            tasks += 1
            frames += len(names)
            if tasks >= args.tasks:
                break
        if tasks == before:
            sys.exit("no tasks")
    ended = time.monotonic()
    print(json.dumps({"tasks": tasks, "frames": frames, "walk": ended - opened, "whole": ended - BEGAN}))


if __name__ == "__main__":
    main()
