import relive

with relive.run("Newsletter") as run:
    print(run.url, flush=True)
    with run.node("draft") as node:
        node.output({"text": "Less is more."})
    with run.node("review") as node:
        review = node.review({"text": "Less is more."})
    if review.is_approved:
        with run.node("send") as node:
            node.output({"text": review.data or "Less is more.", "approved by": review.reviewer})
