from opentelemetry.sdk.trace import TracerProvider

import relive.opentelemetry

provider = TracerProvider()
provider.add_span_processor(relive.opentelemetry.SpanProcessor())
tracer = provider.get_tracer("shop")

with tracer.start_as_current_span("order"):
    with tracer.start_as_current_span("pay") as span:
        span.set_attribute("amount", 3)
provider.shutdown()
