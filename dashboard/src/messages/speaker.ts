import type { Message } from '@relive/types'

/** Hues that are told apart next to each other, in degrees. */
const hues = [255, 25, 145, 310, 85, 195, 350, 55, 225, 165, 285, 115]

/** The same one for the same speaker, everywhere and always. */
export function hueOf(speaker: string): number {
  let hash = 2166136261
  for (let at = 0; at < speaker.length; at += 1) hash = Math.imul(hash ^ speaker.charCodeAt(at), 16777619)
  return hues[(hash >>> 0) % hues.length] ?? 0
}

/** One or two letters for a name: its initials, or the first sign of one that has no spaces between words. */
export function markOf(name: string): string {
  const words = name.match(/[\p{L}\p{N}]+/gu) ?? []
  const first = [...(words[0] ?? '?')][0] ?? '?'
  const isSpaced = /^[\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Greek}\p{N}]/u.test(first)
  const second = isSpaced && words.length > 1 ? [...(words.at(-1) ?? '')][0] : undefined
  return `${first}${second ?? ''}`.toUpperCase()
}

/** Who a message is by: one node may let several agents speak. */
export function speakerOf({ agentId, nodeId }: Pick<Message, 'agentId' | 'nodeId'>): string {
  return agentId ?? nodeId
}
