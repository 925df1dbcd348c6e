// Package law says which documents the law wants of a meeting, and by when: [Completeness] compares
// that with what the register has. It is a pure function, which the page and the verbs share.
//
// The rules are data. [France] has those of the Code général des collectivités territoriales
// (CGCT). Another country is another list.
package law

import "ancre/register/store"

// Stage is the moment from which the time of a rule is counted.
type Stage int

// The stages of a meeting.
const (
	Before    Stage = iota // by the last lawful day: see LastDay
	After                  // after the day of the meeting
	AfterNext              // after the day of the body's next meeting
)

// Rule is one document that the law wants of a meeting.
type Rule struct {
	Kind         store.Kind
	MinClearDays int        // the rule is for bodies whose meetings are convoked at least so many clear days before
	Stage        Stage      // when the time is counted from
	Days         int        // with After and AfterNext: how many days later it is due
	Within       store.Kind // the kind of another document that may contain this one; "": none
	Source       string     // where the law says so: "CGCT L2121-10"
}

// A note is due to the members of councils that are convoked five clear days before: communes of
// 3,500 inhabitants and more, and what follows their rules.
const noteClearDays = 5

// France are the rules for councils. They are written for communes, and hold by reference for
// établissements publics de coopération intercommunale (CGCT L5211-1). A body with no clear days,
// such as a commission, has its own rules, and none of these.
var France = []Rule{
	{Kind: store.Convocation, MinClearDays: 1, Stage: Before, Source: "CGCT L2121-10"},
	{Kind: store.Agenda, MinClearDays: 1, Stage: Before, Within: store.Convocation, Source: "CGCT L2121-10"},
	{Kind: store.Note, MinClearDays: noteClearDays, Stage: Before, Source: "CGCT L2121-12"},
	{Kind: store.Deliberation, MinClearDays: 1, Stage: After, Days: 7, Source: "CGCT L2121-25"},
	{Kind: store.Minutes, MinClearDays: 1, Stage: AfterNext, Days: 7, Source: "CGCT L2121-15"},
}
