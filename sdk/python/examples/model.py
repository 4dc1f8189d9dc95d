import relive

WORDS = ["Less ", "is ", "more."]

with relive.run("Writing") as run, run.node("write", kind="llm", input="Say it shortly.") as node:
    with node.writing(agent="poet") as message:
        for word in WORDS:
            message.write(word)
    node.usage(model="gpt-4o-mini", input_tokens=12, output_tokens=4)
    node.output(message.text)
print(run.url)
