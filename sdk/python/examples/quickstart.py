import relive

with relive.run("Nightly ETL", tags=["etl"]) as run:
    with run.node("fetch") as node:
        node.progress(0.5)
        node.log("half way")
        node.output({"rows": 42})
print(run.url)
