/*
 * One migration as PROTOCOL.md tells it, for the model checker Spin: source, target and relay, sockets and a link that
 * break or bring things late, crashes, and hosts that stand still for any time. `npm run model` explores all of it.
 *
 * States, requests and messages have the names of the code (sender-states.ts, receiver-states.ts, lease-table.ts,
 * relay-protocol.ts, messages.ts); where those have a hyphen, Promela wants an underscore. PROTOCOL.md, "The model", says
 * what is left out, and why.
 *
 * Time is not counted. Every limit may pass at any moment, every process may stand still for any time, so a frozen host
 * is one that goes on late, with what it knew. Whatever can be repeated is bounded, so a run is a finite line: that every
 * run ends means that no state is visited twice in one run (pan -l), and that the last one is right (Judge).
 *
 * Words after BREAK_ take a rule out, each by itself; the checker then finds a run that shows what the rule is for.
 */

#ifndef FAULTS
#define FAULTS 2          /* broken sockets and links, crashes, a CPU that does not start: so many in one run, of any kind */
#endif
#ifndef RECONNECTS
#define RECONNECTS 1      /* links replaced in one run; the code's MAX_RECONNECTS is 5 */
#endif

mtype = {
  none,
  /* the source's states */
  offering, preparing, copying, reconnecting, holding, stopping, handing_over, committing, aborting, confirming, withdrawing,
  /* the target's */
  awaiting_offer, receiving, interrupted, restoring, starting, proving,
  /* both sides' */
  ended,
  /* the lease's, and how the migration ended there */
  owned, drained, committed_unconfirmed,
  kept, moved, given_back,
  /* hosts, and what a socket is to the lease besides */
  source, target, owner, former_owner,
  /* a socket, as its client sees it; `refused` is also the end of a port */
  connecting, connected, refused,
  /* a socket as it is: hello under way, both ways open, refused and not yet told, broken */
  opening, up, closing, down,
  /* between source and target */
  offer, accepted, prepared, can_commit, ready, resume, resumed, switchover, running, end,
  /* between host and relay */
  attach_owner, attach_target, attached, frame,
  hold, held, drained_ok, release, released, abort, outcome, probe, probed, commit, committed, commit_refused, alive, revoked
};

/* What is verified; pan names the one that does not hold. */
bool I1_one_host_reaches_the_world = true;   /* a frame the relay lets out is the lease holder's, who runs at its epoch */
bool I1_one_host_runs = true;                /* the source never while the lease is the target's; the target never before, and after a give-back only unheard */
bool I2_a_sign_of_life_is_final = true;      /* what the world has seen of the target is never undone */
bool I2_the_VM_is_where_its_lease_is = true; /* at the end it runs at the holder, and nowhere else */
bool I4_no_frame_is_cut_off = true;           /* the lease does not move past a frame that the source has sent */
bool I5_both_sides_tell_the_truth = true;    /* `completed` if and only if the VM has moved */
bool every_run_ends = true;                  /* nobody waits for ever */

byte faults;
bool source_dead, target_dead, run_failed;

/* The relay. `lease`, `holder`, `epoch`, `expired` and `ended_as` are the lease; a session is what the relay thinks of a socket. */
bool relay_up = true;
mtype lease = owned;
mtype holder = source;
byte epoch = 1;
bool expired;
/* NR11: a commit came while the lease was still holding. */
bool commit_waits;
mtype ended_as = none;
mtype source_session = owner;
mtype target_session = none;
bool life_seen;
/* NR25: the relay's disk takes no more for the time being. `life_waits`: a sign of life came that is not stored yet; `only_in_memory`: how it ended, if that is not stored. */
bool disk_full, life_waits, only_in_memory;

/* Sockets. What is in a channel when its socket breaks may still arrive, or not. */
chan s2r = [6] of { mtype, byte };
chan t2r = [6] of { mtype, byte };
chan r2s = [6] of { mtype, mtype, byte, bool };
chan r2t = [6] of { mtype, mtype, byte, bool };
mtype s_wire = up;
mtype t_wire = down;

/* The link; `link_offered` is a new one that the target has not taken up. */
chan s2t = [3] of { mtype };
chan t2s = [4] of { mtype };
bool link_up = true;
bool s_link = true;
bool t_link = true;
bool link_offered;

/* The source: its machine, its VM, its port and lease (source-lease.ts). */
mtype s = offering;
bool s_cpu = true;
bool s_copy = true;
bool s_resuming, s_releasing;      /* asked for, not done */
mtype s_step = none;               /* reconnecting: none (seeking), resume (resuming), resumed (ready) */
bool s_asked;                      /* copying: whether the target's way to the relay is open */
bool s_target_runs, s_completed, s_cancelled, s_framed;
byte s_reconnects;
mtype s_port = connected;
mtype s_role = owner;
byte s_epoch = 1;
bool s_hold, s_drained, s_release; /* requests that are repeated until they are answered */
mtype s_abort = none;              /* none, abort (asked), outcome (answered: the target, not yet known to live) */
bool s_settled;

/* The target, likewise (target-lease.ts). */
mtype t = awaiting_offer;
bool t_cpu, t_asked, t_gathered, t_completed, t_gave_up, t_framed;
mtype t_port = none;
mtype t_role = none;
byte t_epoch = 1;
bool t_commit, t_committed, t_alive, t_port_failed;

/* ---------------------------------------------------------------------------------------------- what must always hold */

inline check_I1() {
  I1_one_host_runs =
    (!s_cpu || holder == source) &&
    (!t_cpu || holder == target || ended_as == given_back) &&
    !(s_cpu && t_cpu && s_epoch == epoch && t_epoch == epoch);
  assert(I1_one_host_runs);
}

/* ----------------------------------------------------------------------------------------------------------- channels */

inline empty_s2t() { do :: len(s2t) > 0 -> s2t?_ :: else -> break od; skip }
inline empty_t2s() { do :: len(t2s) > 0 -> t2s?_ :: else -> break od; skip }
inline empty_s2r() { do :: len(s2r) > 0 -> s2r?_, _ :: else -> break od; skip }
inline empty_t2r() { do :: len(t2r) > 0 -> t2r?_, _ :: else -> break od; skip }
inline empty_r2s() { do :: len(r2s) > 0 -> r2s?_, _, _, _ :: else -> break od; skip }
inline empty_r2t() { do :: len(r2t) > 0 -> r2t?_, _, _, _ :: else -> break od; skip }

/* A full channel would be a fault of the model: it is an error, never a wait. */
inline source_asks(what)  { if :: s_port == connected && s_wire == up -> assert(nfull(s2r)); s2r!what, 0 :: else -> skip fi }
inline target_asks(what)  { if :: t_port == connected && t_wire == up -> assert(nfull(t2r)); t2r!what, 0 :: else -> skip fi }
inline source_says(what)  { if :: s_link && link_up -> assert(nfull(s2t)); s2t!what :: else -> skip fi }
inline target_says(what)  { if :: t_link && link_up && !link_offered -> assert(nfull(t2s)); t2s!what :: else -> skip fi }
inline tell_source(what, who, at, lives) {
  if :: source_session != none && s_wire == up -> assert(nfull(r2s)); r2s!what, who, at, lives :: else -> skip fi
}
inline tell_target(what, who, at, lives) {
  if :: target_session != none && t_wire == up -> assert(nfull(r2t)); r2t!what, who, at, lives :: else -> skip fi
}

/* --------------------------------------------------------------------------------------------------------- the source */

inline source_ends() { s = ended; s_asked = false; s_link = false; link_up = false; empty_t2s() }

inline withdraw() {
  s = withdrawing;
  if :: !s_resuming && !s_releasing -> source_ends() :: else -> skip fi
}

inline ask_for_release() { s_release = true; s_releasing = true; source_asks(release) }

/* MG26. An answer that came before is still the answer. */
inline ask_for_vm() {
  if
  :: s_abort == none -> s = aborting; s_abort = abort; source_asks(abort)
  :: else -> s = committing
  fi
}

/* A limit, a cancellation, an error: sender-failure.ts, fail(). */
inline source_fails(tell) {
  if
  :: s == offering || s == preparing || s == copying ->
     if :: tell -> source_says(end) :: else -> skip fi;
     source_ends()
  :: s == reconnecting -> withdraw()
  :: s == holding ->
     ask_for_release();
     if :: tell -> source_says(end) :: else -> skip fi;
     withdraw()
  :: s == stopping ->
     s_resuming = true; ask_for_release();
     if :: tell -> source_says(end) :: else -> skip fi;
     withdraw()
  :: s == handing_over || (s == committing && !s_target_runs) ->
     if :: tell -> source_says(end) :: else -> skip fi;
     ask_for_vm()
  :: else -> skip
  fi
}

inline source_reconnects() {
  if
  :: s_reconnects < RECONNECTS -> s_reconnects++; s = reconnecting; s_step = none; s_asked = false
  :: else -> source_fails(false)
  fi
}

inline source_goes_on() {
  if
  :: s_step == resumed && !s_resuming && !s_releasing -> s = copying; s_step = none
  :: else -> skip
  fi
}

/* migrate-away.ts closes the port of a VM that is gone. */
inline source_completes() { s_completed = true; s_target_runs = false; source_ends(); s_port = refused; s_role = none; s_wire = down; empty_r2s() }

/* The relay's word, unasked. */
inline forget_requests() { s_settled = true; s_hold = false; s_drained = false; s_abort = none; s_reconnects = 0 }
inline target_lives() {
  forget_requests(); s_role = former_owner; s_copy = false;
  s = confirming;
  if :: s_target_runs -> source_completes() :: else -> skip fi
}
inline vm_is_ours() {
  forget_requests();
  if :: s == committing || s == aborting -> s_resuming = true; withdraw() :: else -> skip fi
}

active proctype Source() {
  mtype what, who; byte at; bool lives;
  d_step { s2t!offer };
end_here:
  do
  /* From the target. */
  :: d_step { !source_dead && s_link && s != ended && nempty(t2s) -> t2s?what;
       if
       :: what == end -> source_fails(false)
       :: what == accepted -> assert(s == offering); s = preparing
       :: what == prepared -> assert(s == preparing); s = copying
       /* MG36. */
       :: what == ready -> assert(s == copying && s_asked); s_asked = false; s = holding; s_hold = true; source_asks(hold)
       :: what == resumed -> if :: s == reconnecting && s_step == resume -> s_step = resumed; source_goes_on() :: else -> skip fi
       :: what == running ->
#ifdef BREAK_MG23
          if :: s == committing || s == aborting -> s_copy = false; source_completes() :: else -> skip fi
#else
          if
          :: s == committing || s == aborting -> s_target_runs = true
          :: s == confirming -> source_completes()
          :: else -> skip
          fi
#endif
       fi;
       what = none
     }
  :: d_step { !source_dead && s_link && !link_up && s != ended ->
       s_link = false; empty_t2s();
       if
       :: s == copying -> source_reconnects()
       :: s == holding -> if :: s_reconnects < RECONNECTS -> ask_for_release() :: else -> skip fi; source_reconnects()
       :: s == stopping -> if :: s_reconnects < RECONNECTS -> s_resuming = true; ask_for_release() :: else -> skip fi; source_reconnects()
       :: s == reconnecting -> source_reconnects()
       :: s == confirming -> source_completes()
       :: else -> source_fails(false)
       fi
     }

  /* From the relay. */
  :: d_step { !source_dead && s_port != refused && nempty(r2s) -> r2s?what, who, at, lives;
       if
       :: what == attached ->
          s_port = connected; s_role = who;
          if :: who == owner -> s_epoch = at :: else -> skip fi;
#ifndef BREAK_NR15
          if
          :: !s_settled && who == owner && at == 1 ->
             if :: s_hold -> source_asks(hold) :: else -> skip fi;
             if :: s_drained -> source_asks(drained) :: else -> skip fi;
             if :: s_release -> source_asks(release) :: else -> skip fi;
             if :: s_abort != none -> source_asks(abort) :: else -> skip fi
          :: else -> skip
          fi;
#endif
          /* Given back, and the outcome that said so was lost with the socket. */
#ifndef BREAK_NR13_TOLD
          if :: !s_settled && who == owner && at > 1 -> vm_is_ours() :: else -> skip fi
#endif
       :: what == held -> if :: s == holding -> s = stopping :: else -> skip fi
       :: what == drained_ok -> skip
       :: what == released ->
          if
          :: s_release ->
             s_hold = false; s_release = false; s_releasing = false;
             if
             :: s == reconnecting -> source_goes_on()
             :: s == withdrawing -> withdraw()
             :: else -> skip
             fi
          :: else -> skip
          fi
       :: what == outcome ->
          if
          :: s_settled -> skip
          :: !s_settled && who == target && lives -> target_lives()
          :: !s_settled && who == target && !lives ->
#ifdef BREAK_NR12_SOURCE
             target_lives()
#else
             if
             :: s_abort == abort -> s_abort = outcome; s = committing
             :: else -> skip
             fi
#endif
          :: !s_settled && who == source && at > 1 -> s_role = owner; s_epoch = at; vm_is_ours()
          :: !s_settled && who == source && at == 1 ->
             if
             :: s_abort == abort -> vm_is_ours()
             :: else -> skip
             fi
          fi
       fi;
       what = none; who = none; at = 0; lives = false
     }
  /* A socket that broke is noticed, sooner or later, and opened again: relay-socket.ts. */
  :: d_step { !source_dead && s_wire == down && s_port != refused ->
       empty_r2s(); s_port = connecting; s_role = none; s_wire = opening;
       assert(nfull(s2r)); s2r!attach_owner, s_epoch
     }

  /* Its own steps. */
  :: d_step { s == copying && s_link && !s_asked && !source_dead -> s_asked = true; source_says(can_commit) }
  :: d_step { s == stopping && s_cpu && !source_dead -> s_cpu = false }
  :: d_step { s == stopping && !s_cpu && !source_dead ->
       s = handing_over; s_framed = false; s_reconnects = 0; s_drained = true; source_asks(drained)
     }
  :: d_step { s == handing_over && s_link && !source_dead -> s = committing; source_says(switchover) }
  :: d_step { s == reconnecting && s_step == none && !s_link && t != ended && !target_dead && !source_dead ->
       s_step = resume; s_link = true; link_up = true; link_offered = true
     }
  :: d_step { s_resuming && !source_dead ->
       s_resuming = false; s_cpu = true; assert(s_copy); check_I1();
       if
       :: s == reconnecting -> source_goes_on()
       :: s == withdrawing -> withdraw()
       :: else -> skip
       fi
     }
  /* Limits pass, operations fail, the user cancels: at any time, once as often as it makes a difference. */
  :: d_step { !source_dead && (s == offering || s == preparing || s == copying || s == reconnecting || s == holding || s == stopping || s == handing_over) ->
       source_fails(true)
     }
  :: d_step { !source_dead && s == committing && s_abort == none -> ask_for_vm() }
  :: d_step { !source_dead && s == committing && !s_target_runs && !s_cancelled -> s_cancelled = true; source_fails(true) }
  :: d_step { !source_dead && s == confirming -> source_completes() }
  :: d_step { !source_dead && s == withdrawing -> source_ends() }
#ifdef BREAK_MG27
  :: d_step { !source_dead && (s == committing || s == aborting) && !s_settled -> vm_is_ours() }
#endif
  /* The guest speaks. */
  :: d_step { !source_dead && s_cpu && !s_framed && s_role == owner && s_port == connected && s_wire == up && (s == holding || s == stopping) ->
       s_framed = true; source_asks(frame)
     }
  od
}

/* --------------------------------------------------------------------------------------------------------- the target */

/* The port of a VM that is not this host's, or not any more. */
inline close_target_port() {
  t_port_failed = true; t_port = refused; t_role = none; t_wire = down; empty_r2t()
}
inline target_ends() { t = ended; t_asked = false; t_gathered = false; t_commit = false; t_link = false; link_up = false; link_offered = false; empty_s2t() }
inline target_fails(tell) {
  if :: tell -> target_says(end) :: else -> skip fi;
  t_cpu = false;
  if :: t_port != none && t_port != refused && !t_committed -> close_target_port() :: else -> skip fi;
  target_ends()
}
/* The relay knows that the VM is not this host's. */
inline target_port_refused() {
  close_target_port();
  if
  :: t == committing || t == starting || t == proving -> target_fails(true)
  :: else -> skip
  fi
}
inline target_commits() {
  t = committing;
  if
  :: t_port_failed -> target_fails(true)
  :: else -> t_commit = true; target_asks(commit)
  fi
}
inline commit_succeeded(at) {
  if
  :: !t_committed -> t_committed = true; t_role = owner; t_epoch = at;
     if :: t == committing -> t = starting :: else -> skip fi
  :: else -> skip
  fi
}

active proctype Target() {
  mtype what, who; byte at; bool lives;
end_here:
  do
  /* From the source; once the relay was asked, the link has no say any more. */
  :: d_step { !target_dead && t_link && (t == awaiting_offer || t == preparing || t == receiving || t == interrupted || t == restoring) && nempty(s2t) -> s2t?what;
       if
       :: what == offer -> assert(t == awaiting_offer);
          t = preparing; target_says(accepted);
          t_port = connecting; t_wire = opening; t2r!attach_target, 1
       :: what == can_commit -> assert(t == receiving); t_asked = true; target_asks(probe)
       :: what == switchover -> assert(t == receiving); t = restoring
       :: what == resume -> t = receiving; target_says(resumed)
       :: what == end -> target_fails(false)
       fi;
       what = none
     }
  :: d_step { !target_dead && t_link && !link_up && !link_offered && (t == awaiting_offer || t == preparing || t == receiving || t == interrupted || t == restoring) ->
       t_link = false; empty_s2t();
       if
       :: t == receiving -> t = interrupted; t_asked = false
       :: t == interrupted || (t == restoring && t_gathered) -> skip
       :: else -> target_fails(false)
       fi
     }
  :: d_step { !target_dead && link_offered && (t == receiving || t == interrupted) ->
       link_offered = false; t = interrupted; t_asked = false; t_link = true; empty_s2t(); s2t!resume
     }
#ifdef BREAK_MG29_LINK
  :: d_step { !target_dead && t == proving && !link_up -> target_fails(false) }
#endif

  /* From the relay. */
  :: d_step { !target_dead && t_port != refused && nempty(r2t) -> r2t?what, who, at, lives;
       if
       :: what == attached ->
          t_port = connected; t_role = who;
          if :: who == owner -> t_epoch = at :: else -> skip fi;
          if
          :: who == owner && t_commit -> commit_succeeded(at)
          :: who == target && t_commit -> target_asks(commit)
          :: who == target && t_asked -> target_asks(probe)
          :: else -> skip
          fi;
          if :: t_alive -> target_asks(alive) :: else -> skip fi
       :: what == refused -> target_port_refused()
       :: what == probed -> if :: t_asked -> t_asked = false; target_says(ready) :: else -> skip fi
       :: what == committed -> commit_succeeded(at)
       :: what == commit_refused -> t_commit = false; if :: t == committing -> target_fails(true) :: else -> skip fi
       :: what == revoked -> target_port_refused()
       :: what == outcome ->
          if
          :: t == proving && t_alive && who == target && lives -> t_completed = true; target_ends()
          :: t == proving && t_alive && who == source -> close_target_port(); target_fails(true)
          :: else -> skip
          fi
       fi;
       what = none; who = none; at = 0; lives = false
     }
  :: d_step { !target_dead && t_wire == down && t_port != refused && t_port != none ->
       empty_r2t(); t_port = connecting; t_role = none; t_wire = opening;
       assert(nfull(t2r));
       if :: t_committed -> t2r!attach_owner, t_epoch :: else -> t2r!attach_target, 1 fi
     }

  /* Its own steps. */
  :: d_step { t == preparing && !target_dead -> t = receiving; target_says(prepared) }
  :: d_step { t == restoring && !t_gathered && !target_dead -> t_gathered = true }
  :: d_step { t == restoring && t_gathered && !target_dead -> t_gathered = false; target_commits() }
  :: d_step { t == starting && !run_failed && !target_dead -> t = proving; t_cpu = true; check_I1(); target_says(running) }
  :: d_step { t == starting && !run_failed && !target_dead && faults < FAULTS -> faults++; run_failed = true }
  :: d_step { t == proving && !t_alive && !target_dead -> t_alive = true; target_asks(alive) }
  /* Limits pass, operations fail, the user cancels. */
  :: d_step { !target_dead && (t == awaiting_offer || t == preparing || t == receiving || t == interrupted || t == restoring) -> target_fails(true) }
  :: d_step { !target_dead && t == committing -> t_gave_up = true;
#ifdef BREAK_MG29
       t = proving; t_cpu = true; check_I1()
#else
       target_fails(true)
#endif
     }
  /* The guest speaks. */
  :: d_step { !target_dead && t_cpu && !t_framed && t_role == owner && t_port == connected && t_wire == up -> t_framed = true; target_asks(frame) }
  od
}

/* ---------------------------------------------------------------------------------------------------------- the relay */

/* Does what the relay says of the migration (NR12) say that the target lives? */
#define lives_for(who) (lease != committed_unconfirmed && (ended_as == moved || holder != who))

inline outcome_to_source() { tell_source(outcome, holder, epoch, lives_for(source)) }
inline outcome_to_target() { tell_target(outcome, holder, epoch, lives_for(target)) }

inline sign_of_life() {
  if
  :: lease == committed_unconfirmed && target_session == owner && disk_full -> life_waits = true
  :: lease == committed_unconfirmed && target_session == owner && !disk_full ->
     life_seen = true;
#ifndef BREAK_NR13
     lease = owned; ended_as = moved; expired = false; outcome_to_source()
#endif
  :: else -> skip
  fi
}

/* The target's commit, if nothing speaks against it. */
inline compare_and_set() {
  if
  :: holder == target -> tell_target(committed, none, epoch, false)
#ifdef BREAK_MG21
  :: holder == source ->
#else
#ifdef BREAK_MG19
  :: holder == source && ended_as == none && (lease == drained || lease == holding) ->
#else
#ifdef BREAK_NR25
  :: holder == source && ended_as == none && lease == drained ->
     only_in_memory = disk_full;
#else
  :: holder == source && ended_as == none && lease == holding -> commit_waits = true
  :: holder == source && ended_as == none && lease == drained && !disk_full ->
#endif
#endif
#endif
     holder = target; epoch++; lease = committed_unconfirmed; expired = false;
     tell_target(committed, none, epoch, false);
     if :: source_session == owner -> source_session = former_owner :: else -> skip fi;
     target_session = owner;
     check_I1()
#ifndef BREAK_MG21
  :: else -> tell_target(commit_refused, none, 0, false)
#endif
  fi
}

/* Release and abort. */
inline waiting_commit_refused() {
  if :: commit_waits -> commit_waits = false; tell_target(commit_refused, none, 0, false) :: else -> skip fi
}

inline give_back() {
  I2_a_sign_of_life_is_final = !life_seen; assert(I2_a_sign_of_life_is_final);
#ifndef BREAK_MG28_EPOCH
  epoch++;
#endif
  holder = source; lease = owned; ended_as = given_back; expired = false;
  outcome_to_source();
  if :: target_session == owner -> tell_target(revoked, none, epoch, false); target_session = former_owner :: else -> skip fi;
  if :: source_session == former_owner -> source_session = owner :: else -> skip fi;
  check_I1()
}

active proctype Relay() {
  mtype what; byte at;
end_here:
  do
  /* From the source. */
  :: d_step { relay_up && nempty(s2r) -> s2r?what, at;
       if
       :: what == attach_owner ->
          if
          :: holder == source && (epoch == at || (ended_as == given_back && at == 1 && epoch == at + 2)) ->
             source_session = owner;
             if :: s_wire == opening -> s_wire = up :: else -> skip fi;
             tell_source(attached, owner, epoch, false);
             if :: ended_as == given_back && at == 1 -> outcome_to_source() :: else -> skip fi
          :: else ->
             assert(at == 1 && (lease == committed_unconfirmed || ended_as == moved || ended_as == given_back));
             source_session = former_owner;
             if :: s_wire == opening -> s_wire = up :: else -> skip fi;
             tell_source(attached, former_owner, epoch, false);
             if :: lease == committed_unconfirmed && expired && !disk_full && !life_waits -> give_back() :: else -> skip fi;
             outcome_to_source()
          fi
       :: what != attach_owner && source_session == none -> skip
       :: what == hold && source_session != none ->
          if
          :: source_session == owner && lease == owned && ended_as == none -> lease = holding; tell_source(held, none, 0, false)
          :: source_session == owner && (lease == holding || lease == drained) -> tell_source(held, none, 0, false)
          /* Refused: it was a repeated one, which the source does not wait for any more. */
          :: else -> assert(s != holding || source_dead)
          fi
       :: what == drained && source_session != none ->
          if
          :: source_session == owner && (lease == holding || lease == drained) ->
             lease = drained; tell_source(drained_ok, none, 0, false);
             if :: commit_waits -> commit_waits = false; compare_and_set() :: else -> skip fi
          :: else -> assert(s != handing_over || source_dead)
          fi
       :: what == release && source_session != none ->
          assert(source_session == owner);
          if :: lease == holding || lease == drained -> lease = owned; waiting_commit_refused() :: else -> skip fi;
          tell_source(released, none, 0, false)
       :: what == abort && source_session != none ->
#ifdef BREAK_MG26
          if :: lease == committed_unconfirmed -> tell_source(outcome, source, 1, false) :: else -> outcome_to_source() fi
#else
          if
          :: source_session == owner && (lease == holding || lease == drained || (lease == owned && ended_as == none)) ->
             /* That it ended may be lost with the relay's memory: the hold is lost with it, and without one nobody commits. */
             lease = owned; ended_as = kept; only_in_memory = disk_full; waiting_commit_refused()
          :: else -> skip
          fi;
          outcome_to_source()
#endif
       :: what == frame && source_session != none ->
          if
          :: source_session == owner ->
             I1_one_host_reaches_the_world = (holder == source); assert(I1_one_host_reaches_the_world)
          :: else -> I4_no_frame_is_cut_off = (holder == source); assert(I4_no_frame_is_cut_off)
          fi
       fi;
       what = none; at = 0
     }

  /* From the target. */
  :: d_step { relay_up && nempty(t2r) -> t2r?what, at;
       if
       :: what == attach_target || what == attach_owner ->
          if
          :: holder == target && (what == attach_target || at == epoch) ->
             target_session = owner;
             if :: t_wire == opening -> t_wire = up :: else -> skip fi;
             tell_target(attached, owner, epoch, false)
          :: holder == source && what == attach_target && ended_as == none && epoch == 1 ->
             target_session = target; commit_waits = false;
             if :: t_wire == opening -> t_wire = up :: else -> skip fi;
             tell_target(attached, target, epoch, false)
          :: else ->
#ifdef BREAK_NR8
             target_session = owner;
             if :: t_wire == opening -> t_wire = up :: else -> skip fi;
             tell_target(attached, owner, at, false)
#else
             target_session = none;
             if :: t_wire == opening -> t_wire = closing; r2t!refused, none, 0, false :: else -> skip fi
#endif
          fi
       :: what != attach_target && what != attach_owner && target_session == none -> skip
       :: what == probe && target_session != none -> tell_target(probed, none, 0, false)
       :: what == commit && target_session != none -> compare_and_set()
       :: what == alive && target_session != none ->
          sign_of_life();
          if :: life_waits -> skip :: else -> outcome_to_target() fi
       :: what == frame && target_session != none ->
#ifndef BREAK_NR12
          sign_of_life();
#endif
          if
#ifdef BREAK_NR9
          :: true ->
#else
#if defined(BREAK_NR12) || defined(BREAK_NR25_LIFE)
          :: target_session == owner ->
#else
          /* A frame whose sign of life is not stored stays in. */
          :: target_session == owner && !life_waits ->
#endif
#endif
             I1_one_host_reaches_the_world = (holder == target && t_epoch == epoch); assert(I1_one_host_reaches_the_world);
             life_seen = true
#ifndef BREAK_NR9
          :: else -> skip
#endif
          fi
       fi;
       what = none; at = 0
     }

  /* Sockets that broke are noticed, sooner or later. */
  :: d_step { relay_up && source_session != none && s_wire != up -> source_session = none }
  :: d_step { relay_up && target_session != none && t_wire != up -> target_session = none; commit_waits = false }

  /* MG28: 2 s of uptime without a sign of life. */
#ifndef BREAK_MG28
  :: d_step { relay_up && lease == committed_unconfirmed && !expired && !life_waits ->
       if
       :: source_session == former_owner && !disk_full -> give_back()
       :: else -> expired = true
       fi
     }
  /* NR25: what the disk did not take is tried again. */
  :: d_step { relay_up && lease == committed_unconfirmed && expired && !disk_full && !life_waits && source_session == former_owner -> give_back() }
#endif
  :: d_step { relay_up && life_waits && !disk_full -> life_waits = false; life_seen = true;
       lease = owned; ended_as = moved; expired = false; outcome_to_source(); outcome_to_target()
     }

  /* NR16: what is stored outlives a crash, holds do not. Sockets die with it; what was sent to the hosts may still arrive. */
  :: d_step { relay_up && faults < FAULTS && (s != ended || t != ended) -> faults++; relay_up = false; life_waits = false; commit_waits = false;
       source_session = none; target_session = none;
       empty_s2r(); empty_t2r();
       if :: s_wire == up || s_wire == opening -> s_wire = down :: else -> skip fi;
       if :: t_wire == up || t_wire == opening -> t_wire = down :: else -> skip fi
     }
  :: d_step { !relay_up -> relay_up = true; expired = false;
       if :: lease == holding || lease == drained -> lease = owned :: else -> skip fi;
       if :: only_in_memory && ended_as == kept -> ended_as = none :: else -> skip fi
#ifdef BREAK_NR25
       ; if :: only_in_memory && lease == committed_unconfirmed -> lease = owned; holder = source; epoch = 1; check_I1() :: else -> skip fi
#endif
       ; only_in_memory = false
#ifdef BREAK_NR16
       ; if :: lease == committed_unconfirmed -> lease = owned; holder = source; epoch = 1; check_I1() :: else -> skip fi
#endif
     }
  od
}

/* ---------------------------------------------------------------------------------------------------------- the world */

active proctype World() {
end_here:
  do
  :: d_step { faults < FAULTS && s_wire == up && s != ended -> faults++; s_wire = down }
  :: d_step { faults < FAULTS && t_wire == up && t != ended -> faults++; t_wire = down }
  :: d_step { faults < FAULTS && link_up -> faults++; link_up = false }
  /* The disk fills, and is freed again. */
  :: d_step { faults < FAULTS && !disk_full && (s != ended || t != ended) -> faults++; disk_full = true }
  :: d_step { disk_full -> disk_full = false }
  /* A tab that crashed, or was loaded anew, has no VM and takes no further part. */
  :: d_step { faults < FAULTS && !source_dead && s != ended -> faults++; source_dead = true;
       s_cpu = false; s_copy = false; s_resuming = false; s_link = false; link_up = false; s_port = refused; s_wire = down; empty_r2s(); empty_t2s()
     }
  :: d_step { faults < FAULTS && !target_dead && t != ended -> faults++; target_dead = true;
       t_cpu = false; t_link = false; link_up = false; link_offered = false; t_port = refused; t_wire = down; empty_r2t(); empty_s2t()
     }
  od
}

/* Nothing moves any more: was that an end, and the right one? */
active proctype Judge() {
  timeout -> d_step {
    every_run_ends =
      (source_dead || (s == ended && !s_resuming)) &&
      /* MG29: a target whose CPU did not start waits for the relay; the source, who could take the VM back, is gone. */
      (target_dead || t == ended || (t == starting && run_failed && source_dead));
    assert(every_run_ends);
    if
    :: !source_dead && !target_dead && holder == source ->
       if :: ended_as == given_back -> skip :: ended_as == kept -> skip :: else -> skip fi;
       I2_the_VM_is_where_its_lease_is = s_cpu && !t_cpu; I5_both_sides_tell_the_truth = !s_completed && !t_completed
    :: !source_dead && !target_dead && holder == target ->
       I2_the_VM_is_where_its_lease_is = t_cpu && !s_cpu; I5_both_sides_tell_the_truth = s_completed && t_completed
    /* The target is gone: if nothing of it was seen, the VM is back at the source; otherwise it went with the tab. */
    :: !source_dead && target_dead ->
       if
       :: life_seen -> I2_the_VM_is_where_its_lease_is = !s_cpu && holder == target
       :: else -> I2_the_VM_is_where_its_lease_is = s_cpu && holder == source
       fi;
       I5_both_sides_tell_the_truth = (s_completed == life_seen)
    /* The source is gone: the VM with it before the commit. After it the target has it, unless that failed there, too. */
    :: source_dead && !target_dead ->
       if
       :: holder == target -> I2_the_VM_is_where_its_lease_is = t_cpu || t_gave_up || run_failed
       :: else -> I2_the_VM_is_where_its_lease_is = !t_cpu
       fi;
       I5_both_sides_tell_the_truth = (t_completed == t_cpu)
    :: source_dead && target_dead -> skip
    fi;
    assert(I2_the_VM_is_where_its_lease_is);
    assert(I5_both_sides_tell_the_truth)
  }
}

#ifdef WITNESS
byte seen;
/* Shows that nothing was verified in vain: sees one thing that must be possible, once; pan names those nobody saw. */
active proctype Witness() {
  if
  :: s == offering -> seen = 1
  :: s == preparing -> seen = 2
  :: s == copying -> seen = 3
  :: s == reconnecting -> seen = 4
  :: s == holding -> seen = 5
  :: s == stopping -> seen = 6
  :: s == handing_over -> seen = 7
  :: s == committing -> seen = 8
  :: s == aborting -> seen = 9
  :: s == confirming -> seen = 10
  :: s == withdrawing -> seen = 11
  :: s == ended -> seen = 12
  :: t == awaiting_offer -> seen = 13
  :: t == preparing -> seen = 14
  :: t == receiving -> seen = 15
  :: t == interrupted -> seen = 16
  :: t == restoring -> seen = 17
  :: t == committing -> seen = 18
  :: t == starting -> seen = 19
  :: t == proving -> seen = 20
  :: t == ended -> seen = 21
  :: lease == owned -> seen = 22
  :: lease == holding -> seen = 23
  :: lease == drained -> seen = 24
  :: lease == committed_unconfirmed -> seen = 25
  :: expired -> seen = 26
  :: ended_as == kept -> seen = 27
  :: ended_as == moved -> seen = 28
  :: ended_as == given_back -> seen = 29
  /* The ends. */
  :: s_completed && t_completed && s == ended && t == ended && faults == 0 -> seen = 30
  :: ended_as == given_back && s == ended && s_cpu && t == ended -> seen = 31
  :: ended_as == given_back && t_cpu -> seen = 32
  :: ended_as == given_back && t_cpu && target_session == former_owner && nempty(t2r) -> seen = 33
  :: ended_as == kept && s == ended && s_cpu && t == ended -> seen = 34
  :: ended_as == none && s == ended && s_cpu && t == ended && s_hold -> seen = 35
  /* A late commit that is refused; a late answer; a target that never learns of its commit. */
  :: ended_as == kept && t == committing && nempty(t2r) -> seen = 36
  :: holder == target && t == ended && t_gave_up -> seen = 37
  :: holder == target && s == aborting -> seen = 38
  :: holder == target && s == committing && s_abort == outcome -> seen = 39
  /* Both CPUs on, the target's unheard. */
  :: s_cpu && t_cpu -> seen = 40
  /* Faults, and lives after them. */
  :: s_reconnects > 0 && s == copying -> seen = 41
  :: !relay_up && lease == drained -> seen = 42
  :: !relay_up && lease == committed_unconfirmed -> seen = 43
  :: faults > 0 && !source_dead && !target_dead && s_completed && t_completed -> seen = 44
  :: source_dead && t_completed -> seen = 45
  :: target_dead && s == ended && s_cpu && ended_as == given_back -> seen = 46
  :: run_failed && s == ended && s_cpu && t == ended -> seen = 47
  :: source_session == none && s_wire == opening && holder == target -> seen = 48
  :: disk_full && lease == drained && t == committing && nempty(t2r) -> seen = 49
  :: life_waits && lease == committed_unconfirmed -> seen = 50
  :: disk_full && only_in_memory && ended_as == kept && s == ended && s_cpu -> seen = 51
  /* A commit that waits: done, refused, or forgotten with its port. */
  :: commit_waits && lease == holding -> seen = 52
  :: commit_waits && s == aborting -> seen = 53
  :: commit_waits && t_wire == down -> seen = 54
  fi
}
#endif
