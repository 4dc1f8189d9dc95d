import asyncio

import relive


@relive.node
async def score(text: str) -> int:
    await asyncio.sleep(0.1)
    return len(text)


@relive.node(kind="chain")
async def rank(texts: list[str]) -> list[str]:
    scores = await asyncio.gather(*(score(text) for text in texts))
    return [text for _, text in sorted(zip(scores, texts, strict=True))]


async def main() -> None:
    async with relive.run("Ranking", inputs={"texts": 3}) as run:
        run.outputs(await rank(["three", "one", "fourteen"]))
    print(run.url)


asyncio.run(main())
