export { catalogue, type ErrorAnswer, type ErrorCode, isErrorCode } from './catalogue.ts';
export {
  DormouseError,
  type ErrorData,
  type ErrorRecord,
  hasCode,
  mayRetry,
  messageOf,
  toDormouseError,
} from './dormouse-error.ts';
