package warning

import "slices"

// registerTable has the kinds of ancre-register. Their names begin with "register_", so that one
// monitoring can watch both daemons.
var registerTable []*Kind

// RegisterTable returns the kinds of ancre-register, in the order of docs/metrics.md.
func RegisterTable() []*Kind { return slices.Clone(registerTable) }

// All returns the kinds of both daemons.
func All() []*Kind { return slices.Concat(table, registerTable) }

func registerKind(severity Severity, name, says, remedy string) *Kind {
	k := &Kind{name: name, says: says, remedy: remedy, severity: severity, holdsNothing: true}
	registerTable = append(registerTable, k)
	return k
}

// Warnings of ancre-register.
var (
	RegisterNode = registerKind(Soon, "register_node", "The node is away, cannot be used, or is of another network.",
		"The text has the error. Start the node, or correct [node] in register.conf. Documents wait on the register's disk.")
	RegisterWaiting = registerKind(Soon, "register_waiting", "A document has been waiting for the node for more than an hour.",
		"Look at the node. What the register took is on its disk.")
	RegisterSend = registerKind(Soon, "register_send", "The node refuses digests.",
		"The text has the error. Raise rpc.max_user_digests of the node, or give the user of the register the roles submit, verify and read.")
	RegisterProof = registerKind(Critical, "register_proof", "The node answers with a proof that is false.",
		"Check that node.rpc is your own node; check that node's disk and memory.")
	RegisterPending = registerKind(Soon, "register_pending", "The node has warnings that may delay proofs.",
		"Run \"ancre status\" on the machine of the node: it says what to do.")
	RegisterStore = registerKind(Critical, "register_store", "The register's database or files cannot be written, or are damaged.",
		"Free disk space, check the disk, and restart the register. If it is damaged, restore the newest backup.")
	RegisterWatch = registerKind(Soon, "register_watch", "A file in the watched folder cannot be taken.",
		"The text names the file and what to do.")
	RegisterDisk = registerKind(Soon, "register_disk_low", "The disk under the register is nearly full.",
		"Free disk space, or move the data directory to a larger disk.")
	RegisterBackupOld = registerKind(Soon, "register_backup_old", "Documents came after the last backup, and that is older than a week, or there is none.",
		"Set backup.dir in register.conf, or run \"ancre-register backup FILE\". Keep the backup on another machine.")
	RegisterBackupFailed = registerKind(Soon, "register_backup_failed", "The nightly backup of the register failed.",
		"The text has the error. The register tries again.")
	RegisterNotify = registerKind(Soon, "register_notify", "notify.command of the register cannot be run, or keeps failing, so nobody is told of warnings.",
		"The text has the error. Correct the command in register.conf.")
)
