import asyncio
import sys

import relive


async def main() -> None:
    async with relive.AsyncClient() as client:
        async for state in client.watch(sys.argv[1]):
            print(state["revision"], state["status"])


asyncio.run(main())
