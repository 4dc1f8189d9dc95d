import { useEffect, useState } from 'react'

import type { ListFilters } from '../app/address'
import { type ListFeed, listFeed } from './list-feed'

/** How long typing must pause before the server is queried. */
const restMs = 220

/** The list for these filters; while a text is being typed, that for the previous text. */
export function useList(filters: ListFilters): ListFeed {
  const [settled, setSettled] = useState(filters)
  useEffect(() => {
    if (settled === filters) return
    const onlyTextDiffers = settled.text !== filters.text
    const timer = setTimeout(() => setSettled(filters), onlyTextDiffers ? restMs : 0)
    return () => clearTimeout(timer)
  }, [filters, settled])
  return listFeed(settled)
}
