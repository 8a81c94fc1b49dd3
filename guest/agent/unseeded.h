/*
 * A named pipe that exists from boot until the random seed has come. Who needs randomness of its own opens it for reading,
 * which waits for a writer; the agent is that writer. After a reboot there is none: nothing then stems from the snapshot.
 */
#define UNSEEDED "/run/tabmotion-unseeded"
