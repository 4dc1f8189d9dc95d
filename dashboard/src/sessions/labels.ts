/** What is to become of the tags of each selected session. */
export interface LabelChange {
  readonly add: readonly string[]
  readonly remove: readonly string[]
}

export function changedTags(tags: readonly string[], { add, remove }: LabelChange): readonly string[] {
  return [...new Set([...tags.filter((tag) => !remove.includes(tag)), ...add])]
}
