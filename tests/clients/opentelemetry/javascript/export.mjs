// Traces by the SDK of JavaScript, as JSON and as protobuf.

import assert from 'node:assert/strict'
import { context, SpanStatusCode, trace } from '@opentelemetry/api'
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { OTLPTraceExporter as ProtoExporter } from '@opentelemetry/exporter-trace-otlp-proto'
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node'

const server = process.env.RELIVE_URL

async function get(path) {
  const answer = await fetch(server + path)
  assert.equal(answer.status, 200, path)
  return answer.json()
}

for (const Exporter of [JsonExporter, ProtoExporter]) {
  const exporter = new Exporter({ url: `${server}/v1/traces`, compression: 'gzip' })
  const provider = new NodeTracerProvider({ spanProcessors: [new BatchSpanProcessor(exporter)] })
  const tracer = provider.getTracer('shop')
  const root = tracer.startSpan('checkout')
  const child = tracer.startSpan(
    'chat',
    {
      attributes: { 'gen_ai.operation.name': 'chat', 'gen_ai.usage.input_tokens': 3, 'gen_ai.usage.output_tokens': 4 },
    },
    trace.setSpan(context.active(), root),
  )
  child.recordException(new Error('no answer'))
  child.setStatus({ code: SpanStatusCode.ERROR, message: 'no answer' })
  child.end()
  root.end()
  await provider.shutdown()

  const id = root.spanContext().traceId.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5')
  const session = await get(`/api/v1/sessions/${id}`)
  const nodes = session.nodes
  assert.equal(session.name, 'checkout')
  assert.equal(session.totalTokens, 7)
  assert.equal(nodes[root.spanContext().spanId].status, 'completed')
  const chat = nodes[child.spanContext().spanId]
  assert.deepEqual([chat.status, chat.kind, chat.parentNodeId], ['failed', 'llm', root.spanContext().spanId])
  const { logs } = await get(`/api/v1/sessions/${id}/logs`)
  assert.match(logs[0].text, /Error: no answer/)
}
console.log('JavaScript: two traces, as JSON and as protobuf')
