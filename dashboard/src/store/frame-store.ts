export { FrameStore, type Schedule } from '@relive/types/stores'
