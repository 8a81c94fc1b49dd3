/** The request was not performed; the message is a sentence that says why. */
export class RequestRefused extends Error {}
