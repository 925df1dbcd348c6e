package control

import "time"

// What the register answers, as JSON. Scripts read these members too, as "ancre-register --json"
// prints them: they keep their names and meanings.

// Meeting is one séance of a body.
type Meeting struct {
	ID        string    `json:"id"`
	Body      string    `json:"body"`
	Title     string    `json:"title,omitempty"`
	Start     time.Time `json:"start"`
	Zone      string    `json:"zone"`
	Place     string    `json:"place,omitempty"`
	State     string    `json:"state"` // planned, convoked, held, cancelled
	Published bool      `json:"published"`
	CreatedAt time.Time `json:"created_at"`
	ChangedAt time.Time `json:"changed_at"`
}

// AddedMeeting is the answer to a new meeting. Added is false if the body had a meeting at that
// time: then it is that one.
type AddedMeeting struct {
	Meeting
	Added bool `json:"added"`
}

// NewMeeting asks for a meeting.
type NewMeeting struct {
	Body    string `json:"body,omitempty"`
	Date    string `json:"date"`
	Time    string `json:"time,omitempty"`
	Zone    string `json:"zone,omitempty"`
	Title   string `json:"title,omitempty"`
	Place   string `json:"place,omitempty"`
	State   string `json:"state,omitempty"`
	Publish bool   `json:"publish,omitempty"`
}

// MeetingUpdate is what to change of a meeting. What is absent stays.
type MeetingUpdate struct {
	Date    *string `json:"date,omitempty"`
	Time    *string `json:"time,omitempty"`
	Title   *string `json:"title,omitempty"`
	Place   *string `json:"place,omitempty"`
	State   *string `json:"state,omitempty"`
	Publish *bool   `json:"published,omitempty"`
}

// Meetings are the meetings that a query chose, the newest first.
type Meetings struct {
	Meetings []Meeting `json:"meetings"`
	More     bool      `json:"more"` // there are more than the limit
}

// MeetingStatus is a meeting, its documents, and how complete it is.
type MeetingStatus struct {
	Meeting
	BodyName     string       `json:"body_name"`
	ClearDays    int          `json:"clear_days"`
	Documents    []Document   `json:"documents"`
	Completeness Completeness `json:"completeness"`
}

// Completeness compares what the law wants of a meeting with what the register has.
type Completeness struct {
	Complete    bool           `json:"complete"`               // all that is wanted is there, and all proofs are complete
	ConvokeBy   string         `json:"convoke_by,omitempty"`   // last lawful day for the convocation
	Missing     int            `json:"missing"`                // kinds that are wanted and absent, and late
	Awaited     int            `json:"awaited"`                // kinds that are wanted and absent, and not late yet
	Late        int            `json:"late"`                   // kinds that came too late
	Items       []Item         `json:"items"`                  // kinds that are wanted or there
	ProofStates map[string]int `json:"proof_states,omitempty"` // documents by the state of their proof
}

// Item is one kind of document of a meeting.
type Item struct {
	Kind         string     `json:"kind"`
	Wanted       bool       `json:"wanted"`
	Source       string     `json:"source,omitempty"` // where the law says so
	State        string     `json:"state"`            // there, late, within, awaited, missing
	Due          string     `json:"due,omitempty"`    // the last day
	Since        *time.Time `json:"since,omitempty"`  // when all of them were there
	Documents    int        `json:"documents"`        // those that were not replaced
	Replaced     int        `json:"replaced,omitempty"`
	Proof        string     `json:"proof,omitempty"` // the state that is least far
	ProvenAt     *time.Time `json:"proven_at,omitempty"`
	ProvenInTime bool       `json:"proven_in_time"` // a block proves that they existed before the last day was over
}

// Document is one entry of the register.
type Document struct {
	Entry     int64     `json:"entry"` // its place in the register, from 1 on
	Digest    string    `json:"digest"`
	Meeting   string    `json:"meeting,omitempty"`
	Kind      string    `json:"kind"`
	Title     string    `json:"title,omitempty"`
	Number    string    `json:"number,omitempty"`
	FileName  string    `json:"file_name"`
	MediaType string    `json:"media_type"`
	Size      int64     `json:"size"`
	AddedAt   time.Time `json:"added_at"`

	Published   bool       `json:"published"`
	Download    bool       `json:"download"` // the page offers the file itself
	OnlineSince *time.Time `json:"online_since,omitempty"`
	WithdrawnAt *time.Time `json:"withdrawn_at,omitempty"`

	Replaces   int64      `json:"replaces,omitempty"`    // an entry
	ReplacedBy int64      `json:"replaced_by,omitempty"` // an entry
	ReplacedAt *time.Time `json:"replaced_at,omitempty"`

	Proof Proof `json:"proof"`
}

// Proof is how far the proof of a document is.
type Proof struct {
	State       string     `json:"state"` // waiting, pending, mined, complete
	SubmittedAt *time.Time `json:"submitted_at,omitempty"`
	Batch       uint64     `json:"batch,omitempty"` // the node's
	Height      int32      `json:"height,omitempty"`
	BlockHash   string     `json:"blockhash,omitempty"`
	BlockTime   *time.Time `json:"blocktime,omitempty"`
	CompleteAt  *time.Time `json:"complete_at,omitempty"`
}

// NewDocument says what a file is, beside its bytes.
type NewDocument struct {
	FileName string
	Meeting  string
	Kind     string
	Title    string
	Number   string
	Replaces string // a digest
	Digest   string // of the bytes, if the caller knows it: other bytes are refused
	Publish  bool
	ListOnly bool // with Publish: the file itself is not offered
}

// AddedDocument is the answer to a new document. Added is false if the meeting had these bytes
// before.
type AddedDocument struct {
	Document
	Added    bool      `json:"added"`
	Replaced *Document `json:"replaced,omitempty"` // the one that this one replaces
	Notes    []string  `json:"notes,omitempty"`    // sentences about what a person may not expect
}

// DocumentQuery chooses documents. What is zero chooses nothing.
type DocumentQuery struct {
	Meeting   string // NoMeeting: those of none
	Kind      string
	Digest    string
	Text      string
	Published bool // only those that are on line
	Waiting   bool // only those whose proof is not complete
	After     int64
	Limit     int
}

// NoMeeting is the value of a meeting in queries that means: of no meeting.
const NoMeeting = "none"

// Documents are the documents that a query chose, in the order in which they were added.
type Documents struct {
	Documents []Document `json:"documents"`
	More      bool       `json:"more"` // there are more than the limit
}

// Selection chooses documents to publish or to withdraw.
type Selection struct {
	Digests  []string `json:"digests,omitempty"`
	Meeting  string   `json:"meeting,omitempty"`
	Kind     string   `json:"kind,omitempty"`
	ListOnly bool     `json:"list_only,omitempty"` // to publish: the file itself is not offered
}

// Selected are the documents that were chosen, as they are now.
type Selected struct {
	Documents []Document `json:"documents"`
	Changed   int        `json:"changed"` // how many of them changed
	Notes     []string   `json:"notes,omitempty"`
}

// Status is how the register is.
type Status struct {
	Version string    `json:"version"`
	Network string    `json:"network"` // of the node that was reached first; empty: none was
	DataDir string    `json:"datadir"`
	Started time.Time `json:"started"`

	Meetings  int        `json:"meetings"`
	Documents int        `json:"documents"`
	Published int        `json:"published"`
	Proofs    ProofCount `json:"proofs"`

	Node     NodeStatus `json:"node"`
	Page     PageStatus `json:"page"`
	Watched  string     `json:"watched_dir,omitempty"`
	Metrics  string     `json:"metrics,omitempty"`
	Disk     DiskStatus `json:"disk"`
	Bodies   []Body     `json:"bodies"`
	Warnings []Warning  `json:"warnings"`

	LastBackup *BackupReport `json:"last_backup,omitempty"`
}

// ProofCount counts digests by the state of their proof.
type ProofCount struct {
	Waiting       int        `json:"waiting"`
	Pending       int        `json:"pending"`
	Mined         int        `json:"mined"`
	Complete      int        `json:"complete"`
	OldestWaiting *time.Time `json:"oldest_waiting,omitempty"`
}

// NodeStatus is how the node is.
type NodeStatus struct {
	RPC       string     `json:"rpc"`
	Reachable bool       `json:"reachable"`
	Since     *time.Time `json:"since,omitempty"` // when that began; absent: it was not asked yet
	Error     string     `json:"error,omitempty"`
	Network   string     `json:"network,omitempty"`
	Height    int32      `json:"height,omitempty"`
	BlockTime *time.Time `json:"blocktime,omitempty"`
	Synced    bool       `json:"synced"`
	Warnings  []string   `json:"warnings,omitempty"`
}

// PageStatus says where the public page is.
type PageStatus struct {
	Listen string `json:"listen,omitempty"` // absent: there is no page
	URL    string `json:"url,omitempty"`
}

// DiskStatus is the disk under the data directory.
type DiskStatus struct {
	FreeBytes    int64 `json:"free_bytes,omitempty"` // absent: the system does not tell
	ReserveBytes int64 `json:"reserve_bytes"`        // with less, the register takes no documents
}

// Body is who meets.
type Body struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	NameEN    string `json:"name_en,omitempty"`
	ClearDays int    `json:"clear_days"`
}

// Warning is what the people who run the register should know.
type Warning struct {
	Name     string     `json:"name"`
	Severity string     `json:"severity"` // warning, critical
	Subject  string     `json:"subject,omitempty"`
	Text     string     `json:"text"`
	Since    *time.Time `json:"since,omitempty"`
}

// BackupReport is what the one who wrote a backup says of it.
type BackupReport struct {
	Taken     time.Time `json:"taken"`
	File      string    `json:"file"`
	Documents int       `json:"documents"`
	Bytes     int64     `json:"bytes"`
}
