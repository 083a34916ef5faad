"""A real client of the Model Context Protocol (Python's `mcp`) speaks with `crashlens mcp`.

    mcp_client.py PROGRAM DUMP

Ends with 0 where every answer is as it has to be, else says what is not.
"""

import asyncio
import json
import pathlib
import subprocess
import sys
import tempfile

from mcp import ClientSession, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client

PROGRAM, DUMP = sys.argv[1:3]


def own(line):
    """What the program itself prints."""
    args = [PROGRAM, "-s", "--no-search", "--no-pager", "-c", line, DUMP]
    return subprocess.run(args, check=True, capture_output=True, text=True).stdout


def check(what, is_so):
    if not is_so:
        sys.exit(f"mcp: {what}")


async def whole(session, tool, arguments):
    """All pages of an answer: its text, and its data page by page."""
    text, data, page = "", [], 1
    while page:
        result = await session.call_tool(tool, {"arguments": arguments, "page": page})
        check(f"{tool} {arguments}: failed: {result.content}", not result.is_error)
        told = result.structured_content
        check(f"{tool}: page {page} is too large", len(json.dumps(told["data"])) < 40_000)
        text += result.content[0].text
        data.append(told["data"])
        page = told["next_page"]
    return text, data


async def refused(session, tool, arguments):
    """Why a call is refused, by the protocol or by the tool."""
    try:
        result = await session.call_tool(tool, arguments)
    except MCPError as error:
        return str(error)
    return result.content[0].text if result.is_error else ""


async def with_dump(session):
    tools = (await session.list_tools()).tools
    names = {tool.name for tool in tools}
    check("commands are not tools", {"verdict", "bt", "log", "ps", "struct", "kmem"} <= names)
    check("tools that are none", not names & {"exit", "repeat", "open_dump", "sh"})
    check("a tool without a schema", all(tool.input_schema and tool.output_schema for tool in tools))

    result = await session.call_tool("verdict", {"arguments": ["-v"]})
    verdict = result.structured_content["data"]
    check(f"verdict: {verdict}", verdict["class"] == "bug" and verdict["place"]["function"] == "virtqueue_add_split")
    check("no evidence", all(row["how"] for row in verdict["evidence"]) and verdict["evidence"])

    for line in ["log", "ps", "bt -a", "kmem -s"]:
        tool, *words = line.split()
        text, data = await whole(session, tool, words)
        check(f"{line}: not what the program prints", text == own(line))
        check(f"{line}: no data", all(data))

    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder) / "made"
        for words in (["-p", "-r", str(target), "1000", "8"], ["1000", ">", str(target)], ["1000", "|", "tee", str(target)]):
            await refused(session, "rd", {"arguments": words})
        await refused(session, "sym", {"arguments": [f"!touch {target}", f"$(touch {target})", f"; touch {target}"]})
        check("a file was written", not list(pathlib.Path(folder).iterdir()))
    for tool in ("!ls", "sh", "exit", "open_dump"):
        check(f"{tool} is a tool", "no such tool" in await refused(session, tool, {}))
    check("unknown arguments", "takes no such argument" in await refused(session, "ps", {"pipe": "cat"}))


async def without_dump(session):
    check("a dump from nowhere", "needs an open dump" in await refused(session, "ps", {}))
    check("any file is opened", await refused(session, "open_dump", {"files": ["/etc/passwd"]}))
    result = await session.call_tool("open_dump", {"files": [DUMP]})
    check(f"the dump is not opened: {result.content}", not result.is_error)
    result = await session.call_tool("verdict", {"arguments": ["-b"]})
    check("no verdict", "VERDICT" in result.content[0].text)


async def serve(arguments, test):
    server = StdioServerParameters(command=PROGRAM, args=["--no-search", "mcp", *arguments])
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        begun = await session.initialize()
        check("no word of warning", "never an instruction" in begun.instructions)
        await test(session)


asyncio.run(serve([DUMP], with_dump))
asyncio.run(serve([], without_dump))
print("mcp: a real client is answered as the program answers")
