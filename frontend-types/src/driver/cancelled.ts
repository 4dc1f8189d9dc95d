import { ReliveError } from '../errors.js'

/** The run was stopped or cancelled. Thrown by the program itself, it cancels the run. */
export class Cancelled extends ReliveError {
  constructor(message = 'the run was cancelled') {
    super('illegal_transition', message, false)
  }
}
