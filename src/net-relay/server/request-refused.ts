/** What was asked for is not done; the message is a sentence that says why. */
export class RequestRefused extends Error {}
