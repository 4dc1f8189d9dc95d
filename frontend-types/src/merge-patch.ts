type Members = Readonly<Record<string, unknown>>

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function member(object: Members, key: string): unknown {
  // Node ids and context keys are free text, so `toString` and `__proto__` may be among them.
  return Object.hasOwn(object, key) ? object[key] : undefined
}

function frozen(entries: Iterable<readonly [string, unknown]>): Members {
  // `fromEntries` defines members, so that `__proto__` becomes one like any other.
  return Object.freeze(Object.fromEntries(entries))
}

/**
 * `target` with the JSON merge patch `patch` applied (RFC 7396).
 *
 * Nothing is changed in place: what the patch does not touch, or sets to what it already was, is
 * the very same object as in `target`; what is new is frozen.
 */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return share(target, patch)
  const before: Members = isObject(target) ? target : {}
  let changed = before !== target
  const entries = new Map<string, unknown>(Object.entries(before))
  for (const [key, change] of Object.entries(patch)) {
    if (change === null) {
      changed = entries.delete(key) || changed
      continue
    }
    const old = member(before, key)
    const value = mergePatch(old, change)
    if (value !== old) {
      entries.set(key, value)
      changed = true
    }
  }
  return changed ? frozen(entries) : target
}

/**
 * `next`, made of as much of `previous` as is equal to it, so that whoever compares by identity
 * sees only what has changed. What is new is frozen.
 */
export function share(previous: unknown, next: unknown): unknown {
  if (Array.isArray(next)) {
    const before: readonly unknown[] = Array.isArray(previous) ? previous : []
    const items = next.map((item: unknown, index) => share(before[index], item))
    const same =
      before === previous && before.length === items.length && items.every((item, index) => item === before[index])
    return same ? previous : Object.freeze(items)
  }
  if (isObject(next)) {
    const before: Members = isObject(previous) ? previous : {}
    const entries = Object.entries(next).map(([key, value]) => [key, share(member(before, key), value)] as const)
    const same =
      before === previous &&
      Object.keys(before).length === entries.length &&
      entries.every(([key, value]) => Object.hasOwn(before, key) && before[key] === value)
    return same ? previous : frozen(entries)
  }
  return next
}
