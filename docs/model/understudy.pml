/*
 * Output commit, arbitration, failover, switchover and return of two hosts, in Promela.
 * README.md beside this file says what is modelled, what is left out, and how to run it.
 *
 * A guest is a counter of epochs. A state of the guest is (branch, epoch): a branch begins where a
 * host resumes the guest, and bears the number of the term in which it did. Each epoch has one
 * output. Epoch 1 is where both hosts stand at the start.
 *
 * Network: every message ever sent may arrive at any later time, any number of times, in any
 * order, or never. So no queue is modelled: what was sent is remembered per session (s_term ..
 * s_ack), and to receive is to look there. Requests to the arbiter are remembered the same way,
 * until their term exists. A frozen host is one that takes no step.
 */

/* ---- bounds ---- */
#ifndef EPOCHS
#define EPOCHS 3            /* epochs 2 .. EPOCHS run in the model */
#endif
#ifndef TERMS
#define TERMS 4
#endif
#ifndef SESSIONS
#define SESSIONS 3          /* synchronisations, the first one included */
#endif
#ifndef CRASHES
#define CRASHES 1           /* hosts that lose their memory; a crashed host may return */
#endif
#ifndef RESTARTS
#define RESTARTS 1          /* agents that forget everything while the guest and RAM go on */
#endif
#ifndef SWITCHOVERS
#define SWITCHOVERS 1
#endif

/* With FAILURES, suspicion is right unless it is counted as a failure, and so is every crash,
 * restart and cut: so many in all. Without it, anybody suspects anybody at any time. */

#define SOLO 1
#define PROTECTED 2
#define ADOPTED 3           /* of an agent only: it found a guest that ran solo, and holds output */

#define DOWN 0
#define STANDBY 1           /* joining, synchronising, or holding a whole epoch */
#define CLAIMING 2
#define PRIMARY 3

#define OTHER (1 - i)

/* ---- the arbiter: terms, and requests that may still take effect ---- */
byte terms = 1;                     /* the highest term that exists */
byte t_holder[TERMS + 1];
byte t_mode[TERMS + 1];
byte t_session[TERMS + 1];          /* protected: the session that keeps the other side level */
bool q_solo[2];                     /* host i asked for term terms + 1: itself, solo */
byte q_protected[2];                /* ... itself, protected by this session */

/* ---- sessions: each is drawn by the side that is brought level, and never drawn again ---- */
byte sessions = 1;
byte s_owner[SESSIONS + 1];         /* who is brought level */
byte s_term[SESSIONS + 1];          /* JOIN sent: 0. Served: the server's term at its start */
bool s_protected[SESSIONS + 1];     /* ... that term was protected: output waits for these ACKs */
byte s_branch[SESSIONS + 1];
byte s_start[SESSIONS + 1];         /* SYNC sent, with this epoch */
byte s_sent[SESSIONS + 1];          /* EPOCH sent, up to this one */
byte s_ack[SESSIONS + 1];           /* ACK sent, up to this one */
byte s_handover[SESSIONS + 1];      /* HAND-OVER sent, at this epoch, or 0 */

/* ---- hosts ---- */
byte role[2];
byte term[2];                       /* the highest term seen: on disk, survives a crash */
bool whole[2];                      /* a whole copy is here: running, or kept level */
byte branch[2];
byte epoch[2];
byte standby_of[2];                 /* the protected term for which the copy stands by, or 0 */
byte joined[2];                     /* standby: the session that this process drew itself */
bool level[2];                      /* standby: the copy is of that session */
byte mode[2];                       /* primary: how it holds its term */
byte serves[2];                     /* primary: the session that it serves, or 0 */
byte acked[2];                      /* primary: acknowledgements received in that session */
byte released[2];
bool is_free[2];                    /* primary: may release without acknowledgement */
bool asked_solo[2];                 /* primary: creations whose fate it does not know */
bool asked_protected[2];
bool handing_over[2];               /* primary: asked the standby to go on; the guest is paused */

/* ---- the world outside, and the family tree of branches ---- */
byte world_branch = 1;              /* the newest output seen */
byte world_epoch = 1;
byte parent[TERMS + 1];
byte base[TERMS + 1];               /* the parent's epoch at which a branch begins */

byte switchovers = 0;
#ifdef FAILURES
byte failures = 0;
bool gone[2];                       /* crashed, and will not return */
bool cut_off[2];                    /* alive, but nobody hears of it again */
#else
byte crashes = 0;
byte restarts = 0;
#endif

/* Scratch; always zero between steps. */
hidden byte at;
hidden byte line;
hidden byte limit;
hidden byte next;
hidden byte holds;
hidden byte never_two;
hidden byte covered;
hidden byte in_order;
hidden byte nothing_replayed;

/* The guest runs where the arbiter says, went through all its epochs, and holds back no output. */
#define goes_on (role[t_holder[terms]] == PRIMARY && term[t_holder[terms]] == terms && \
  epoch[t_holder[terms]] == EPOCHS && released[t_holder[terms]] == EPOCHS)
#define protected_again (t_mode[terms] == PROTECTED && \
  role[t_holder[terms]] == PRIMARY && term[t_holder[terms]] == terms && \
  !asked_solo[t_holder[terms]] && !asked_protected[t_holder[terms]] && \
  !handing_over[t_holder[terms]] && \
  role[1 - t_holder[terms]] == STANDBY && standby_of[1 - t_holder[terms]] == terms)

#ifdef EVENTUALLY
#if EVENTUALLY == 1
/* 3: the guest goes on. */
ltl eventually { <> [] goes_on }
#else
/* 4: and is protected again, unless a host is lost for ever. */
ltl eventually { <> [] (goes_on &&
  (protected_again || gone[0] || gone[1] || cut_off[0] || cut_off[1])) }
#endif
#endif

/* holds := the state (b, e) contains the output of epoch oe on branch ob. */
inline contains(b, e, ob, oe) {
  /* The epochs of a branch begin after its base: what is older is its parent's. */
  line = ob;
  do
  :: oe > base[line] || line == 0 -> break
  :: else -> line = parent[line]
  od;
  at = b;
  limit = e;
  do
  :: at == line || at == 0 -> break
  :: else ->
    if
    :: base[at] < limit -> limit = base[at]
    :: else
    fi;
    at = parent[at]
  od;
  holds = (at != 0 && oe <= limit);
  at = 0;
  line = 0;
  limit = 0
}

/* The outside world sees the output of epoch released[i] + 1. */
inline release(i) {
  released[i] = released[i] + 1;
  printf("host %d RELEASES output of branch %d, epoch %d\n", i, branch[i], released[i]);

  /* 1: all outputs ever seen lie on one line: a single guest could have sent them. */
  contains(branch[i], released[i], world_branch, world_epoch);
  in_order = holds;
  if
  :: holds -> never_two = true
  :: else ->
    contains(world_branch, world_epoch, branch[i], released[i]);
    never_two = holds
  fi;
  assert(never_two);
#ifdef STRICT
  /* Stronger than what is promised: see the README. */
  assert(in_order);
#endif
  if
  :: in_order ->
    world_branch = branch[i];
    world_epoch = released[i]
  :: else
  fi;

  /* 2: the copy that runs on, or would, holds what was released. */
  covered = true;
  if
  :: t_holder[terms] == i && t_mode[terms] == PROTECTED && whole[OTHER] &&
     (standby_of[OTHER] == terms || (level[OTHER] && joined[OTHER] == t_session[terms])) ->
    contains(branch[OTHER], epoch[OTHER], branch[i], released[i]);
    covered = holds
  :: t_holder[terms] != i && whole[OTHER] &&
     (role[OTHER] == PRIMARY || standby_of[OTHER] == terms - 1) ->
    contains(branch[OTHER], epoch[OTHER], branch[i], released[i]);
    covered = holds
  :: else
  fi;
  assert(covered);
  holds = false;
  in_order = false;
  never_two = false;
  covered = false
}

/* What can't matter any more is zeroed, so that states that behave alike are one state. */
inline tidy() {
#ifndef FAULT_OLD_SESSION
  at = 1;
  do
  :: at > sessions -> break
  :: else ->
    if
    :: s_term[at] != 0 && joined[0] != at && joined[1] != at && serves[0] != at &&
       serves[1] != at ->
      s_owner[at] = 0;
      s_term[at] = 1;
      s_protected[at] = false;
      s_branch[at] = 0;
      s_start[at] = 0;
      s_sent[at] = 0;
      s_ack[at] = 0;
      s_handover[at] = 0
    :: else
    fi;
    at++
  od;
#endif
  at = 1;
  do
  :: at >= terms || at >= term[0] || at >= term[1] -> break
  :: else ->
    t_holder[at] = 0;
    t_mode[at] = 0;
    t_session[at] = 0;
    at++
  od;
  at = 0
}

inline forget_standby(i) {
  standby_of[i] = 0;
  joined[i] = 0;
  level[i] = false
}

inline forget_primary(i) {
  mode[i] = 0;
  serves[i] = 0;
  acked[i] = 0;
  released[i] = 0;
  is_free[i] = false;
  asked_solo[i] = false;
  asked_protected[i] = false;
  handing_over[i] = false
}

inline forget_copy(i) {
  whole[i] = false;
  branch[i] = 0;
  epoch[i] = 0
}

/* Draw a session and say JOIN. What whole copy there is stays usable until the new one is level. */
inline join(i) {
  level[i] = false;
  joined[i] = 0;
  if
  :: sessions < SESSIONS ->
    sessions++;
    s_owner[sessions] = i;
    joined[i] = sessions
  :: else
  fi
}

/* The holder of term `next` starts to run the copy that it has. */
inline resume(i) {
  printf("host %d RESUMES branch %d at epoch %d\n", i, branch[i], epoch[i]);
  /* 2, where it is used. */
  contains(branch[i], epoch[i], world_branch, world_epoch);
  covered = (holds || next < terms);
  assert(covered);
  /* 5: whoever takes over from a primary that hands over resumes its very state. */
  nothing_replayed = (!handing_over[OTHER] ||
    (branch[i] == branch[OTHER] && epoch[i] == epoch[OTHER]));
  assert(nothing_replayed);
  parent[next] = branch[i];
  base[next] = epoch[i];
  branch[i] = next;
  forget_standby(i);
  role[i] = PRIMARY;
  mode[i] = t_mode[next];
  released[i] = epoch[i];
  if
  :: t_mode[next] == SOLO -> is_free[i] = true
  :: else ->
    serves[i] = t_session[next];
    acked[i] = epoch[i]
  fi;
  holds = false;
  nothing_replayed = false;
  covered = false
}

/* A primary reads the term after its own. */
inline primary_reads(i) {
  next = term[i] + 1;
  printf("host %d (primary) reads term %d\n", i, next);
  term[i] = next;
  if
  :: t_holder[next] == i ->
    mode[i] = t_mode[next];
    asked_solo[i] = false;
    asked_protected[i] = false;
    handing_over[i] = false;
    if
    :: t_mode[next] == SOLO ->
      is_free[i] = true;
      serves[i] = 0;
      acked[i] = 0
    :: else -> is_free[i] = false
    fi
  :: else ->
#ifdef FAULT_FLUSH_WHEN_DEMOTED
    if
    :: released[i] < epoch[i] -> release(i)
    :: else
    fi;
#endif
    role[i] = STANDBY;
    forget_primary(i);
#ifndef FAULT_SKIP_SYNC
    forget_copy(i);
#endif
    join(i)
  fi;
  next = 0
}

/* A standby, or one whose claim is undecided, reads the term after the highest it has seen. */
inline standby_reads(i) {
  next = term[i] + 1;
  printf("host %d (standby) reads term %d\n", i, next);
  term[i] = next;
  if
  :: t_holder[next] == i && whole[i] && standby_of[i] == next - 1 -> resume(i)
  :: t_holder[next] != i && t_session[next] != 0 && t_session[next] == joined[i] && level[i] ->
    standby_of[i] = next;
    role[i] = STANDBY
  :: else ->
    /* The other one went on alone, or a claim of an earlier life took effect. */
    standby_of[i] = 0;
    forget_copy(i);
    role[i] = STANDBY;
    if
    :: joined[i] == 0 || (s_term[joined[i]] != 0 && s_term[joined[i]] < next) -> join(i)
    :: else
    fi
  fi;
  next = 0
}

inline crash(i) {
  role[i] = DOWN;
  forget_primary(i);
  forget_standby(i);
  forget_copy(i)
}

/* ---- what may go wrong ---- */
#ifdef FAILURES
#ifdef APART
#define FAILURE_LEFT (failures < FAILURES && protected_again && !cut_off[0] && !cut_off[1])
#else
#define FAILURE_LEFT (failures < FAILURES)
#endif
#define MAY_CRASH FAILURE_LEFT
#define MAY_RESTART FAILURE_LEFT
#define RESTARTED failures++
#define WILL_RETURN (!gone[i])
#define PEER_LOST (!whole[OTHER] || cut_off[OTHER])
#ifdef NEVER_WRONG
#define SUSPECTS PEER_LOST
#else
#define SUSPECTS (PEER_LOST || FAILURE_LEFT)
#endif
#define SUSPECTED if :: PEER_LOST || mode[i] == ADOPTED :: else -> failures++ fi
#define DOUBTS_SESSION (role[OTHER] == PRIMARY && !handing_over[OTHER] && \
  serves[OTHER] != joined[i])
#else
#define MAY_CRASH (crashes < CRASHES)
#define MAY_RESTART (restarts < RESTARTS)
#define RESTARTED restarts++
#define WILL_RETURN (true)
#define SUSPECTS (true)
#define SUSPECTED skip
#define DOUBTS_SESSION (true)
#endif

/* The standby that was asked to go on has forgotten it: a deadline tells, in the agents. */
#define HANDOVER_FAILED (handing_over[i] && role[OTHER] != PRIMARY && role[OTHER] != CLAIMING && \
  joined[OTHER] != serves[i])

/* The guest is paused from the request of a switchover on. */
#ifdef FAULT_RUN_AFTER_HANDOVER
#define RUNS_ON (true)
#else
#define RUNS_ON (!handing_over[i])
#endif

#define MAY_ASK (term[i] < TERMS)
/* A request for a term that exists by now fails; one for the next term may take effect. */
#define IN_TIME (term[i] == terms)

#define SLOT(s) (s <= SESSIONS -> s : 0)
#define JOIN_SENT(s) (s <= sessions && s_owner[SLOT(s)] == OTHER && s_term[SLOT(s)] == 0)

#ifdef FAILURES
proctype host(byte i) provided (!cut_off[i]) {
#else
proctype host(byte i) {
#endif
  do
  /* ---- primary ---- */

  :: d_step { role[i] == PRIMARY && RUNS_ON && epoch[i] < EPOCHS ->
      printf("host %d runs epoch %d\n", i, epoch[i] + 1);
      epoch[i] = epoch[i] + 1;
      if
      :: serves[i] != 0 -> s_sent[serves[i]] = epoch[i]
      :: else
      fi }

  :: d_step { role[i] == PRIMARY && released[i] < epoch[i] &&
      (is_free[i] || released[i] < acked[i]
#ifdef FAULT_RELEASE_BEFORE_TERM
       || asked_solo[i]
#endif
      ) -> release(i) }

  :: d_step { role[i] == PRIMARY && serves[i] != 0 && acked[i] < s_ack[serves[i]] ->
      printf("host %d hears an ack\n", i);
      if
      :: acked[i] == 0 -> acked[i] = s_start[serves[i]]
      :: else -> acked[i] = acked[i] + 1
      fi }

  /* Go on without a standby; also how an undecided creation is settled. */
  :: d_step { role[i] == PRIMARY && !asked_solo[i] && MAY_ASK &&
      (mode[i] != SOLO || asked_protected[i]) &&
      (SUSPECTS || mode[i] == ADOPTED || HANDOVER_FAILED) ->
      printf("host %d asks for term %d, solo, as primary\n", i, term[i] + 1);
      if
      :: HANDOVER_FAILED
      :: else -> SUSPECTED
      fi;
      asked_solo[i] = true;
      if
      :: IN_TIME -> q_solo[i] = true
      :: else
      fi }

  /* Serve a JOIN, however late it comes. */
  :: atomic { role[i] == PRIMARY && mode[i] != ADOPTED &&
      !asked_solo[i] && !asked_protected[i] && !handing_over[i] &&
      (JOIN_SENT(1) || JOIN_SENT(2) || JOIN_SENT(3) || JOIN_SENT(4) || JOIN_SENT(5) ||
       JOIN_SENT(6) || JOIN_SENT(7) || JOIN_SENT(8) || JOIN_SENT(9)) ->
      if
      :: JOIN_SENT(1) -> next = 1
      :: JOIN_SENT(2) -> next = 2
      :: JOIN_SENT(3) -> next = 3
      :: JOIN_SENT(4) -> next = 4
      :: JOIN_SENT(5) -> next = 5
      :: JOIN_SENT(6) -> next = 6
      :: JOIN_SENT(7) -> next = 7
      :: JOIN_SENT(8) -> next = 8
      :: JOIN_SENT(9) -> next = 9
      fi;
      serves[i] = next;
      printf("host %d serves session %d from epoch %d\n", i, next, epoch[i]);
      acked[i] = 0;
      s_term[next] = term[i];
      s_protected[next] = (mode[i] == PROTECTED);
      s_branch[next] = branch[i];
      s_start[next] = epoch[i];
      s_sent[next] = epoch[i];
      next = 0;
      tidy() }

  /* The other side is level: hold output from here on, then ask for a protected term. */
  :: d_step { role[i] == PRIMARY && mode[i] == SOLO && is_free[i] && MAY_ASK &&
      serves[i] != 0 && acked[i] != 0 && released[i] <= acked[i] ->
      printf("host %d holds output, asks for term %d, protected\n", i, term[i] + 1);
      is_free[i] = false;
      asked_protected[i] = true;
      if
      :: IN_TIME -> q_protected[i] = serves[i]
      :: else
      fi }

  /* Planned switchover: paused, everything acknowledged and released, then the other side is asked. */
  :: d_step { role[i] == PRIMARY && mode[i] == PROTECTED && serves[i] != 0 &&
      switchovers < SWITCHOVERS && !asked_solo[i] && !handing_over[i] &&
      acked[i] == epoch[i] && released[i] == epoch[i] ->
      printf("host %d hands over at epoch %d\n", i, epoch[i]);
      switchovers++;
      s_handover[serves[i]] = epoch[i];
      handing_over[i] = true }

#ifdef FAULT_ROLL_BACK_WITHOUT_TERM
  /* No answer came, so the other side did not go on: on as before, and alone. */
  :: d_step { role[i] == PRIMARY && handing_over[i] ->
      handing_over[i] = false;
      is_free[i] = true }
#endif

#ifdef FAULT_ASSUME_LOST
  /* No answer came, so the term was not created: on as before. */
  :: d_step { role[i] == PRIMARY && mode[i] == SOLO && asked_protected[i] ->
      asked_protected[i] = false;
      is_free[i] = true }
#endif

  :: d_step { role[i] == PRIMARY && term[i] < terms -> primary_reads(i); tidy() }

  /* The agent dies and comes back; the guest ran on meanwhile. Held output is dropped. */
  :: d_step { role[i] == PRIMARY && MAY_RESTART ->
      printf("agent %d restarts, its guest runs on\n", i);
      RESTARTED;
      next = mode[i];
      at = epoch[i];
      forget_primary(i);
      mode[i] = next;
      released[i] = at;
      if
      :: next == SOLO ->
#ifdef FAULT_ADOPT_WITHOUT_TERM
        is_free[i] = true
#else
        mode[i] = ADOPTED
#endif
      :: else
      fi;
      next = 0;
      at = 0;
      tidy() }

  /* ---- standby ---- */

  /* SYNC. */
  :: d_step { role[i] == STANDBY && joined[i] != 0 && !level[i] &&
      s_term[joined[i]] != 0 && term[i] <= s_term[joined[i]] ->
      printf("host %d takes SYNC of session %d, epoch %d\n", i, joined[i], s_start[joined[i]]);
      term[i] = s_term[joined[i]];
      level[i] = true;
#ifdef FAULT_SKIP_SYNC
      /* "I know this epoch": a copy of another branch is taken for the one that is offered. */
      if
      :: whole[i] && epoch[i] >= s_start[joined[i]] -> epoch[i] = s_start[joined[i]]
      :: else -> branch[i] = s_branch[joined[i]]; epoch[i] = s_start[joined[i]]
      fi;
#else
      branch[i] = s_branch[joined[i]];
      epoch[i] = s_start[joined[i]];
#endif
      whole[i] = true;
      if
      :: s_protected[joined[i]] -> standby_of[i] = term[i]
      :: else -> standby_of[i] = 0
      fi;
      s_ack[joined[i]] = epoch[i] }

  /* EPOCH: apply, acknowledge. */
  :: d_step { role[i] == STANDBY && level[i] && epoch[i] < s_sent[joined[i]] ->
      printf("host %d applies and acknowledges epoch %d\n", i, epoch[i] + 1);
      contains(s_branch[joined[i]], epoch[i], branch[i], epoch[i]);
      covered = holds;
      assert(covered);
      covered = false;
      holds = false;
      branch[i] = s_branch[joined[i]];
      epoch[i] = epoch[i] + 1;
      s_ack[joined[i]] = epoch[i] }

#ifdef FAULT_ACK_AFTER_CLAIM
  /* The epoch to resume is settled by the claim, yet newer ones are still acknowledged. */
  :: d_step { role[i] == CLAIMING && level[i] && s_ack[joined[i]] < s_sent[joined[i]] ->
      s_ack[joined[i]] = s_ack[joined[i]] + 1 }
#endif

  /* Asked to go on, at the very epoch that is here: stop acknowledging, then ask. */
  :: d_step { role[i] == STANDBY && level[i] && s_handover[joined[i]] != 0 &&
      s_handover[joined[i]] == epoch[i] && standby_of[i] != 0 && standby_of[i] == term[i] &&
      MAY_ASK ->
      printf("host %d is handed epoch %d: asks for term %d\n", i, epoch[i], term[i] + 1);
      role[i] = CLAIMING;
      if
      :: IN_TIME -> q_solo[i] = true
      :: else
      fi }

#ifndef FAULT_NO_TAKEOVER
  /* Take over: stop acknowledging, then ask. */
  :: d_step { role[i] == STANDBY && whole[i] && standby_of[i] != 0 && standby_of[i] == term[i] &&
      MAY_ASK && SUSPECTS ->
      printf("host %d claims: asks for term %d\n", i, term[i] + 1);
      SUSPECTED;
      role[i] = CLAIMING;
      if
      :: IN_TIME -> q_solo[i] = true
      :: else
      fi }
#endif

  :: d_step { (role[i] == STANDBY || role[i] == CLAIMING) && term[i] < terms ->
      standby_reads(i);
      tidy() }

  /* The session is in doubt, here or there: it is not mended but replaced. */
  :: d_step { role[i] == STANDBY && joined[i] != 0 && s_term[joined[i]] != 0 &&
      sessions < SESSIONS && DOUBTS_SESSION ->
      join(i);
      printf("host %d gives up its session, joins with %d\n", i, joined[i]);
      tidy() }

  /* The agent dies and comes back: it finds its store, but has forgotten what it claimed. */
  :: d_step { (role[i] == STANDBY || role[i] == CLAIMING) && MAY_RESTART ->
      printf("agent %d restarts, its store is whole\n", i);
      RESTARTED;
      role[i] = STANDBY;
      join(i);
      tidy() }

#ifdef FAULT_RESUME_AGAIN
  /* Guest and agent die; what it was resumed from is still there, and nobody noted that it ran. */
  :: d_step { role[i] == PRIMARY && terms > 1 && term[i] == terms && branch[i] == terms &&
      MAY_RESTART ->
      printf("host %d lost its guest, and its base is still there\n", i);
      RESTARTED;
      forget_primary(i);
      branch[i] = parent[terms];
      epoch[i] = base[terms];
      term[i] = terms - 1;
      standby_of[i] = term[i];
      role[i] = STANDBY;
      tidy() }
#endif

  /* ---- the host ---- */

  :: atomic { role[i] != DOWN && MAY_CRASH ->
      printf("host %d CRASHES\n", i);
      crash(i);
      tidy();
#ifdef FAILURES
      failures++;
      if
      :: gone[i] = true
      :: true
      fi
#else
      crashes++
#endif
    }

#ifdef FAILURES
  :: d_step { role[i] != DOWN && FAILURE_LEFT ->
      printf("host %d IS CUT OFF\n", i);
      failures++;
      cut_off[i] = true }
#endif

  :: atomic { role[i] == DOWN && WILL_RETURN ->
      printf("host %d returns\n", i);
      role[i] = STANDBY;
#ifdef FAULT_OLD_SESSION
      /* Whatever session arrives is taken, also one that an earlier life drew. */
      if
      :: s_owner[1] == i -> joined[i] = 1
      :: s_owner[2] == i -> joined[i] = 2
      :: s_owner[3] == i -> joined[i] = 3
      :: join(i)
      fi
#else
      join(i)
#endif
    }
  od
}

/* The arbiter: any request for the next term may take effect, at any time; the first one does. */
inline create(holder, how, session) {
  terms++;
  printf("TERM %d: holder %d, mode %d, session %d\n", terms, holder, how, session);
  t_holder[terms] = holder;
  t_mode[terms] = how;
  t_session[terms] = session;
  q_solo[0] = false;
  q_solo[1] = false;
  q_protected[0] = 0;
  q_protected[1] = 0
}

proctype arbiter() {
  do
  :: d_step { q_solo[0] -> create(0, SOLO, 0) }
  :: d_step { q_solo[1] -> create(1, SOLO, 0) }
  :: d_step { q_protected[0] != 0 -> create(0, PROTECTED, q_protected[0]) }
  :: d_step { q_protected[1] != 0 -> create(1, PROTECTED, q_protected[1]) }
  od
}

init {
  d_step {
    t_holder[1] = 0;
    t_mode[1] = PROTECTED;
    t_session[1] = 1;
    s_owner[1] = 1;
    s_term[1] = 1;
    s_branch[1] = 1;
    s_start[1] = 1;
    s_sent[1] = 1;
    s_ack[1] = 1;

    role[0] = PRIMARY;
    term[0] = 1;
    whole[0] = true;
    branch[0] = 1;
    epoch[0] = 1;
    mode[0] = PROTECTED;
    serves[0] = 1;
    acked[0] = 1;
    released[0] = 1;

    role[1] = STANDBY;
    term[1] = 1;
    whole[1] = true;
    branch[1] = 1;
    epoch[1] = 1;
    standby_of[1] = 1;
    joined[1] = 1;
    level[1] = true
  }
  atomic { run host(0); run host(1); run arbiter() }
}
