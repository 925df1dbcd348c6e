// The words of the tool, in French and English. {name} stands for a value. Everything is shown as
// text, never as HTML.

import type { Because, Kind } from "./conclude";
import type { Obstacle } from "./lookup";
import type { FaultCode, Reason } from "./verifier";

export type Language = "fr" | "en";

/** Values for the places of a text. */
export type Values = Record<string, string | number>;

/** What every language has. Reasons and faults without words are shown as their codes. */
type Table = Record<keyof typeof en, string>;

const en = {
  choose: "Choose the file to check",
  hint: "You can also drop it here. Add its proof (.ots or receipt) if you have it. Several files are possible.",
  "hint-offline":
    "Choose the file, its proof (.ots or receipt) and the block headers (.headers), all together or one after the other. You can also drop them here.",
  privacy: "The file stays on your device. The server learns only the first two digits of its 64-digit fingerprint.",
  "privacy-offline": "Nothing leaves this page. It contacts no server.",
  typed: "I only have the fingerprint (SHA-256)",
  "typed-label": "Fingerprint: 64 digits from 0 to 9 and a to f",
  "typed-bad": "This is not a SHA-256 fingerprint: {n} characters were typed, and 64 digits from 0 to 9 and a to f are needed.",
  check: "Check",
  cancel: "Cancel",
  again: "Start again",
  print: "Print this report",
  hashing: "Computing the fingerprint of {name}: {done} of {size}",
  "hashing-whole": "Computing the fingerprint of {name} ({size})",
  "looking-up": "Asking the register for the fingerprints that begin with {first}",
  "getting-headers": "Fetching block headers: {done} of {of}",
  "checking-proof": "Checking the proof of {name}",
  cancelled: "The check was cancelled.",
  finished: "Check finished. {name}: {result}.",
  "finished-many": "Check finished: {n} results.",
  unreadable: "{name} cannot be read. Was it changed, moved or opened by another program? Is it a folder? ({why})",
  "need-file": "{name} is a proof, of the file with the fingerprint {digest}. Now choose that file, or type the fingerprint that you computed.",
  "need-proof": "{name} has the fingerprint {digest}. Now choose its proof (.ots or receipt) and the block headers (.headers).",
  "bad-proof": "{name} is not a proof that can be read: {why}.",
  "got-data": "{n} files with block headers or lists were read.",
  offline: "by the proof that you gave:",
  test: "(test network {network}: no evidence)",
  unconfirmed: "not confirmed: cannot be checked",
  "your-file": "Your file",
  fingerprint: "SHA-256 fingerprint",
  "in-register": "In the register",
  "proof-of": "The proof is that of",
  compared: "The document of this page",
  "online-since": "online since {date}",
  meeting: "meeting {meeting}",
  "as-file": "file name {name}",
  withdrawn: "The authority withdrew this document from its page ({date}). Its proof stays valid.",
  replaced: "A later version replaces this document. Its fingerprint is {digest}.",
  "document-page": "Page of this document",
  existed: "Existed",
  before: "before block {height} of Bitcoin",
  "block-time": "Time of the block",
  "time-note": "A miner wrote this time. It may be wrong by about two hours.",
  paris: "{time}, Paris time",
  "block-hash": "Hash of the block",
  trusted: "Checked in your browser",
  "trusted-checkpoint": "The headers lead from block {height} to block {checkpoint}, which this program knows. The proof of work of {blocks} blocks was checked.",
  "trusted-work":
    "The proof of work of {blocks} blocks was checked: block {height} and those on top of it. The easiest has the difficulty {difficulty}. No block that this program knows lies above.",
  "test-note": "On a test network, blocks cost (almost) nothing. Anybody can make this chain of blocks, so it proves nothing.",
  "what-next": "What to do next",
  limits: "This proves that the file existed at that time and has not changed by a byte. It does not prove who wrote it or who received it, and it is not a qualified time stamp.",
  steps: "Every step of the proof",
  "step-digest": "Fingerprint that the proof is about",
  "step-append": "Append",
  "step-prepend": "Prepend",
  "step-hash": "Hash with {hash}",
  "step-other": "Apply {op}",
  "step-branch": "Branch {branch}",
  "step-txid": "This is the identifier of a Bitcoin transaction",
  "step-root": "This hash, here reversed, must be the Merkle root of block {height}",
  "step-pending": "The calendar {uri} promised the rest",
  "step-foreign": "An attestation of another kind ({kind}), which is not checked here",
  "step-more": "There are more steps than are shown here.",
  "step-header": "Header of block {height} (80 bytes). The Merkle root, not reversed, is in bytes 36 to 67",
  "step-header-hash": "Its SHA-256, hashed again and reversed, is the hash of the block",
  "step-work": "Blocks with proof of work, block {height} included: {blocks}",
  "by-hand": "Do the same by hand",
  "by-hand-digest": "The fingerprint, on Linux, macOS and Windows. It must be {digest}.",
  "by-hand-ancre": "The whole check with ancre, without this page or any server. Save the proof and the headers beside the file.",
  "by-hand-ots": "The proof with the OpenTimestamps client and a Bitcoin node of your own.",
  "save-proof": "Save the proof ({name})",
  "save-headers": "Save the block headers ({name})",
  "checked-at": "Checked on {time}",
  "checked-with": "with {base}",
  "checked-offline": "without a server",
  warnings: "Remarks",
  "warn-false-attestation": "The proof also names block {height}, and that part of it is wrong.",
  "warn-not-checked": "A part of the proof was not checked here.",
  "warn-unused": "The result rests on the register's proof. The one that you gave could not be confirmed: {why}.",
  "warn-weak-file-hash": "The proof is about a {hash} fingerprint. Today two files with the same one can be made.",
  "warn-weak-path": "The path of the proof uses {hash}, which is weak today.",

  "kind-anchored": "authentic and anchored",
  "kind-pending": "authentic, proof pending",
  "kind-unknown": "not in this register",
  "kind-invalid": "changed or invalid",

  "because-listed-anchored": "Your file is, byte for byte, a document of this register. Its proof leads to block {height} of Bitcoin. Your browser checked every step itself.",
  "because-given-anchored": "Your file is, byte for byte, the one that the proof is about. The proof leads to block {height} of Bitcoin. No register was asked: this does not show who published the file.",
  "because-waiting": "Your file is, byte for byte, a document of this register. Its proof is not in Bitcoin yet. Until then only the register vouches for it.",
  "because-few-blocks": "The proof of your file leads to block {height} of Bitcoin. So far {blocks} blocks confirm it, and 6 are needed, because the newest blocks may still be replaced.",
  "because-promised": "The proof is for this file. So far it holds only the promise of a calendar. Until the rest is there, it proves nothing.",
  "because-not-listed": "No published document of this register has this fingerprint. One changed byte is enough: a file that was opened and saved again, converted, signed or printed to PDF has another fingerprint.",
  "because-not-listed-anchored": "No published document of this register has this fingerprint. The proof that you gave is good: this file existed before block {height}. But anybody can anchor any file. It does not show that this register published it.",
  "because-other-file": "The proof that you gave is about another file, with the fingerprint {proofDigest}. Either the file was changed or the proof belongs to another one.",
  "because-other-document": "Your file is not the document of this page, and no other published document either: its fingerprint is another one. One changed byte is enough for that: opening and saving, converting, signing or printing to PDF.",
  "because-given-bad": "The proof that you gave is not valid: {why}.",
  "because-listed-bad": "The register lists this fingerprint, but the proof that it gives is not valid: {why}.",
  "because-no-register": "The register could not be asked: {obstacle}. So nothing is known about this file.",
  "because-other-network": "The register answered for the network {network}. This page expects {want}.",
  "because-no-proof": "There is no proof of this file here.",
  "because-listed-unproven": "The register says that this document has a proof, but did not give one that can be read.",
  "because-unchecked": "The proof could neither be confirmed nor refuted here: {why}.",

  "next-listed-anchored": "Keep the file unchanged, together with its proof and the block headers. With these three, anybody can repeat this check, even without this page.",
  "next-given-anchored": "To learn whether the authority published this file, check it on the page of its register.",
  "next-waiting": "Check again in a few hours. You need not keep anything but the file.",
  "next-few-blocks": "Check again in about an hour.",
  "next-promised": "Check again in a few hours. A proof file of your own is completed by: ancre upgrade FILE.ots",
  "next-not-listed": "Download the document again from the register and check that file. Compare its fingerprint with the one on the document's page. If they differ, ask the sender of your file for the original.",
  "next-not-listed-anchored": "Ask the authority whether it published this file.",
  "next-other-file": "Do not rely on this file. Download the document and its proof again from the register, and compare the fingerprints.",
  "next-other-document": "Do not rely on this file. Download the document again from this page, and ask the sender of your file where it comes from.",
  "next-given-bad": "Do not rely on this proof. Check the file alone, or download its proof again.",
  "next-listed-bad": "Do not rely on this result. Tell the authority, and keep the file. Check a proof from another source with ancre verify.",
  "next-no-register": "Nothing follows from this. Try again later, or check the file with its proof in the saved verifier (verifier.html).",
  "next-other-network": "Nothing follows from this. Tell the authority that its page and its register do not fit together.",
  "next-no-proof": "Choose the file together with its proof (.ots or receipt) and the block headers.",
  "next-listed-unproven": "Nothing follows from this. Try again later, or tell the authority.",
  "next-unchecked": "Nothing follows from this for the file: it may be authentic or not. Try again later, or check the proof with ancre verify and a source of block headers of your own.",

  "obstacle-network": "the register does not answer",
  "obstacle-status": "the register answers with the error {status}",
  "obstacle-slow": "the register did not answer in time",
  "obstacle-huge": "the register sent more data than such an answer can have",
  "obstacle-type": "the register sent a web page instead of data",
  "obstacle-form": "the register's answer is damaged",

  "reason-malformed": "it is damaged or not a proof",
  "reason-wrong-root": "block {height} does not contain it",
  "reason-root-size": "it claims an impossible Merkle root",
  "reason-too-high": "it names block {height}, which cannot exist",
  "reason-contradiction": "it contradicts itself",
  "reason-promised": "it holds only the promise of a calendar",
  "reason-few-blocks": "too few blocks confirm it so far",
  "reason-other-file": "it is the proof of another file, with the fingerprint {proofDigest}",
  "reason-unsupported": "it needs another program, or a newer version of this one",
  "reason-no-header": "the headers of block {height} are missing",
  "reason-bad-window": "the block headers are false or damaged",
  "reason-little-work": "too little work is in the block headers, as if somebody had made them cheaply",
  "reason-other-new-block": "block {height} is new and does not contain it; it may have been replaced",
  "reason-windows-disagree": "there are two different blocks {height}",
  "reason-other-chain": "it is anchored in another chain than Bitcoin",
  "reason-unknown-kind": "its attestation is of an unknown kind",
  "reason-too-many-blocks": "it names too many blocks",
  "reason-needs-transaction": "the receipt does not contain its transaction; use the .ots proof",
  "reason-sealed": "the receipt is signed, and the signature is not checked here; use ancre verify",
  "reason-internal": "this program failed",

  "fault-not-a-proof": "this is another kind of file",
  "fault-cut": "it ends too early",
  "fault-too-large": "it is too large",
  "fault-checksum": "the checksum does not fit",
  "fault-other-network": "they are of another network",
  "fault-link": "the chain is broken",
  "fault-pow": "a proof of work is missing",
  "fault-checkpoint": "another block stands where a known one should be",
};

// Every result, reason and obstacle has words, and there are no words for what does not exist.
type Every = `kind-${Kind}` | `because-${Because}` | `next-${Because}` | `obstacle-${Obstacle}`;
type Coded = Extract<keyof typeof en, `${"kind" | "because" | "next" | "obstacle" | "reason" | "fault"}-${string}`>;
type Check<_All extends Record<Every, string>, _Only extends Every | `reason-${Reason}` | `fault-${FaultCode}`> = Language;
export type Checked = Check<typeof en, Coded>;

const fr: Table = {
  choose: "Choisissez le fichier à vérifier",
  hint: "Vous pouvez aussi le déposer ici. Ajoutez sa preuve (.ots ou reçu) si vous l'avez. Plusieurs fichiers sont possibles.",
  "hint-offline":
    "Choisissez le fichier, sa preuve (.ots ou reçu) et les en-têtes de blocs (.headers), ensemble ou l'un après l'autre. Vous pouvez aussi les déposer ici.",
  privacy: "Le fichier reste sur votre appareil. Le serveur n'apprend que les deux premiers des 64 chiffres de son empreinte.",
  "privacy-offline": "Rien ne sort de cette page. Elle ne contacte aucun serveur.",
  typed: "Je n'ai que l'empreinte (SHA-256)",
  "typed-label": "Empreinte : 64 chiffres de 0 à 9 et de a à f",
  "typed-bad": "Ce n'est pas une empreinte SHA-256 : {n} caractères ont été saisis, il faut 64 chiffres de 0 à 9 et de a à f.",
  check: "Vérifier",
  cancel: "Annuler",
  again: "Recommencer",
  print: "Imprimer ce rapport",
  hashing: "Calcul de l'empreinte de {name} : {done} sur {size}",
  "hashing-whole": "Calcul de l'empreinte de {name} ({size})",
  "looking-up": "Demande au registre des empreintes qui commencent par {first}",
  "getting-headers": "Téléchargement des en-têtes de blocs : {done} sur {of}",
  "checking-proof": "Vérification de la preuve de {name}",
  cancelled: "La vérification a été annulée.",
  finished: "Vérification terminée. {name} : {result}.",
  "finished-many": "Vérification terminée : {n} résultats.",
  unreadable: "{name} ne peut pas être lu. A-t-il été modifié, déplacé ou ouvert par un autre programme ? Est-ce un dossier ? ({why})",
  "need-file": "{name} est une preuve, celle du fichier d'empreinte {digest}. Choisissez maintenant ce fichier, ou saisissez l'empreinte que vous avez calculée.",
  "need-proof": "{name} a l'empreinte {digest}. Choisissez maintenant sa preuve (.ots ou reçu) et les en-têtes de blocs (.headers).",
  "bad-proof": "{name} n'est pas une preuve lisible : {why}.",
  "got-data": "{n} fichiers d'en-têtes de blocs ou de listes ont été lus.",
  offline: "d'après la preuve que vous avez fournie :",
  test: "(réseau d'essai {network} : sans valeur de preuve)",
  unconfirmed: "non confirmé : vérification impossible",
  "your-file": "Votre fichier",
  fingerprint: "Empreinte SHA-256",
  "in-register": "Dans le registre",
  "proof-of": "La preuve est celle de",
  compared: "Le document de cette page",
  "online-since": "en ligne depuis le {date}",
  meeting: "séance {meeting}",
  "as-file": "nom de fichier {name}",
  withdrawn: "La collectivité a retiré ce document de sa page ({date}). Sa preuve reste valable.",
  replaced: "Une version plus récente remplace ce document. Son empreinte est {digest}.",
  "document-page": "Page de ce document",
  existed: "Existait",
  before: "avant le bloc {height} de Bitcoin",
  "block-time": "Heure du bloc",
  "time-note": "Un mineur a écrit cette heure. Elle peut être fausse d'environ deux heures.",
  paris: "{time}, heure de Paris",
  "block-hash": "Empreinte du bloc",
  trusted: "Vérifié dans votre navigateur",
  "trusted-checkpoint": "Les en-têtes mènent du bloc {height} au bloc {checkpoint}, que ce programme connaît. La preuve de travail de {blocks} blocs a été vérifiée.",
  "trusted-work":
    "La preuve de travail de {blocks} blocs a été vérifiée : le bloc {height} et ceux qui le suivent. Le plus facile a la difficulté {difficulty}. Ce programme ne connaît aucun bloc au-dessus.",
  "test-note": "Sur un réseau d'essai, les blocs ne coûtent (presque) rien. N'importe qui peut fabriquer cette chaîne de blocs : elle ne prouve rien.",
  "what-next": "Que faire maintenant",
  limits: "Cela prouve que le fichier existait à cette date et n'a pas changé d'un octet. Cela ne prouve ni qui l'a écrit ni qui l'a reçu, et ce n'est pas un horodatage qualifié.",
  steps: "Chaque étape de la preuve",
  "step-digest": "Empreinte dont parle la preuve",
  "step-append": "Ajouter à la fin",
  "step-prepend": "Ajouter au début",
  "step-hash": "Hacher avec {hash}",
  "step-other": "Appliquer {op}",
  "step-branch": "Branche {branch}",
  "step-txid": "C'est l'identifiant d'une transaction Bitcoin",
  "step-root": "Cette empreinte, ici renversée, doit être la racine de Merkle du bloc {height}",
  "step-pending": "Le calendrier {uri} a promis la suite",
  "step-foreign": "Une attestation d'une autre sorte ({kind}), qui n'est pas vérifiée ici",
  "step-more": "Il y a plus d'étapes que celles qui sont affichées.",
  "step-header": "En-tête du bloc {height} (80 octets). La racine de Merkle, non renversée, est dans les octets 36 à 67",
  "step-header-hash": "Son SHA-256, haché encore une fois puis renversé, est l'empreinte du bloc",
  "step-work": "Blocs avec preuve de travail, bloc {height} compris : {blocks}",
  "by-hand": "Refaire la vérification à la main",
  "by-hand-digest": "L'empreinte, sous Linux, macOS et Windows. Elle doit être {digest}.",
  "by-hand-ancre": "La vérification entière avec ancre, sans cette page ni aucun serveur. Enregistrez la preuve et les en-têtes à côté du fichier.",
  "by-hand-ots": "La preuve avec le client OpenTimestamps et votre propre nœud Bitcoin.",
  "save-proof": "Enregistrer la preuve ({name})",
  "save-headers": "Enregistrer les en-têtes de blocs ({name})",
  "checked-at": "Vérifié le {time}",
  "checked-with": "avec {base}",
  "checked-offline": "sans serveur",
  warnings: "Remarques",
  "warn-false-attestation": "La preuve nomme aussi le bloc {height}, et cette partie est fausse.",
  "warn-not-checked": "Une partie de la preuve n'a pas été vérifiée ici.",
  "warn-unused": "Le résultat repose sur la preuve du registre. Celle que vous avez fournie n'a pas pu être confirmée : {why}.",
  "warn-weak-file-hash": "La preuve porte sur une empreinte {hash}. On sait aujourd'hui fabriquer deux fichiers qui ont la même.",
  "warn-weak-path": "Le chemin de la preuve utilise {hash}, qui est faible aujourd'hui.",

  "kind-anchored": "authentique et ancré",
  "kind-pending": "authentique, preuve en attente",
  "kind-unknown": "absent de ce registre",
  "kind-invalid": "modifié ou invalide",

  "because-listed-anchored": "Votre fichier est, à l'octet près, un document de ce registre. Sa preuve mène au bloc {height} de Bitcoin. Votre navigateur a vérifié lui-même chaque étape.",
  "because-given-anchored": "Votre fichier est, à l'octet près, celui dont parle la preuve. Elle mène au bloc {height} de Bitcoin. Aucun registre n'a été interrogé : cela ne montre pas qui a publié le fichier.",
  "because-waiting": "Votre fichier est, à l'octet près, un document de ce registre. Sa preuve n'est pas encore dans Bitcoin. D'ici là, seul le registre en répond.",
  "because-few-blocks": "La preuve de votre fichier mène au bloc {height} de Bitcoin. Pour l'instant, {blocks} blocs la confirment. Il en faut 6, car les blocs les plus récents peuvent encore être remplacés.",
  "because-promised": "La preuve est celle de ce fichier. Elle ne contient pour l'instant que la promesse d'un calendrier. Sans la suite, elle ne prouve rien.",
  "because-not-listed": "Aucun document publié de ce registre n'a cette empreinte. Un seul octet changé suffit : un fichier ouvert puis réenregistré, converti, signé ou imprimé en PDF a une autre empreinte.",
  "because-not-listed-anchored": "Aucun document publié de ce registre n'a cette empreinte. La preuve que vous avez fournie est bonne : ce fichier existait avant le bloc {height}. Mais n'importe qui peut ancrer n'importe quel fichier. Cela ne montre pas que ce registre l'a publié.",
  "because-other-file": "La preuve que vous avez fournie est celle d'un autre fichier, d'empreinte {proofDigest}. Soit le fichier a été modifié, soit la preuve est celle d'un autre.",
  "because-other-document": "Votre fichier n'est pas le document de cette page, ni un autre document publié : son empreinte est différente. Un seul octet changé suffit : un réenregistrement, une conversion, une signature, une impression en PDF.",
  "because-given-bad": "La preuve que vous avez fournie n'est pas valable : {why}.",
  "because-listed-bad": "Le registre contient cette empreinte, mais la preuve qu'il donne n'est pas valable : {why}.",
  "because-no-register": "Le registre n'a pas pu être interrogé : {obstacle}. On ne sait donc rien de ce fichier.",
  "because-other-network": "Le registre a répondu pour le réseau {network}. Cette page attend {want}.",
  "because-no-proof": "Il n'y a pas ici de preuve de ce fichier.",
  "because-listed-unproven": "Le registre dit que ce document a une preuve, mais n'en a pas donné de lisible.",
  "because-unchecked": "La preuve n'a pu être ici ni confirmée ni réfutée : {why}.",

  "next-listed-anchored": "Conservez le fichier sans le modifier, avec sa preuve et les en-têtes de blocs. Avec les trois, chacun peut refaire cette vérification, même sans cette page.",
  "next-given-anchored": "Pour savoir si la collectivité a publié ce fichier, vérifiez-le sur la page de son registre.",
  "next-waiting": "Vérifiez à nouveau dans quelques heures. Il suffit de conserver le fichier.",
  "next-few-blocks": "Vérifiez à nouveau dans une heure environ.",
  "next-promised": "Vérifiez à nouveau dans quelques heures. Pour compléter un fichier de preuve à vous : ancre upgrade FICHIER.ots",
  "next-not-listed": "Téléchargez à nouveau le document depuis le registre et vérifiez ce fichier-là. Comparez son empreinte avec celle de la page du document. Si elles diffèrent, demandez l'original à celui qui vous a remis le fichier.",
  "next-not-listed-anchored": "Demandez à la collectivité si elle a publié ce fichier.",
  "next-other-file": "Ne vous fiez pas à ce fichier. Téléchargez à nouveau le document et sa preuve depuis le registre, et comparez les empreintes.",
  "next-other-document": "Ne vous fiez pas à ce fichier. Téléchargez à nouveau le document depuis cette page, et demandez à celui qui vous a remis le fichier d'où il vient.",
  "next-given-bad": "Ne vous fiez pas à cette preuve. Vérifiez le fichier seul, ou téléchargez à nouveau sa preuve.",
  "next-listed-bad": "Ne vous fiez pas à ce résultat. Prévenez la collectivité et conservez le fichier. Vérifiez une preuve d'une autre origine avec ancre verify.",
  "next-no-register": "On ne peut rien en conclure. Réessayez plus tard, ou vérifiez le fichier et sa preuve avec le vérificateur enregistré (verifier.html).",
  "next-other-network": "On ne peut rien en conclure. Signalez à la collectivité que sa page et son registre ne vont pas ensemble.",
  "next-no-proof": "Choisissez le fichier avec sa preuve (.ots ou reçu) et les en-têtes de blocs.",
  "next-listed-unproven": "On ne peut rien en conclure. Réessayez plus tard, ou prévenez la collectivité.",
  "next-unchecked": "On ne peut rien en conclure pour le fichier : il est peut-être authentique, peut-être pas. Réessayez plus tard, ou vérifiez la preuve avec ancre verify et votre propre source d'en-têtes de blocs.",

  "obstacle-network": "le registre ne répond pas",
  "obstacle-status": "le registre répond par l'erreur {status}",
  "obstacle-slow": "le registre n'a pas répondu à temps",
  "obstacle-huge": "le registre a envoyé plus de données qu'une telle réponse ne peut en avoir",
  "obstacle-type": "le registre a envoyé une page web à la place des données",
  "obstacle-form": "la réponse du registre est abîmée",

  "reason-malformed": "elle est abîmée, ou ce n'est pas une preuve",
  "reason-wrong-root": "le bloc {height} ne la contient pas",
  "reason-root-size": "elle indique une racine de Merkle impossible",
  "reason-too-high": "elle nomme le bloc {height}, qui ne peut pas exister",
  "reason-contradiction": "elle se contredit",
  "reason-promised": "elle ne contient que la promesse d'un calendrier",
  "reason-few-blocks": "trop peu de blocs la confirment pour l'instant",
  "reason-other-file": "c'est la preuve d'un autre fichier, d'empreinte {proofDigest}",
  "reason-unsupported": "il faut un autre programme, ou une version plus récente de celui-ci",
  "reason-no-header": "les en-têtes du bloc {height} manquent",
  "reason-bad-window": "les en-têtes de blocs sont faux ou abîmés",
  "reason-little-work": "les en-têtes de blocs contiennent trop peu de travail, comme si quelqu'un les avait fabriqués à bas prix",
  "reason-other-new-block": "le bloc {height} est récent et ne la contient pas ; il a peut-être été remplacé",
  "reason-windows-disagree": "il y a deux blocs {height} différents",
  "reason-other-chain": "elle est ancrée dans une autre chaîne que Bitcoin",
  "reason-unknown-kind": "son attestation est d'une sorte inconnue",
  "reason-too-many-blocks": "elle nomme trop de blocs",
  "reason-needs-transaction": "le reçu ne contient pas sa transaction ; utilisez la preuve .ots",
  "reason-sealed": "le reçu est signé, et la signature n'est pas vérifiée ici ; utilisez ancre verify",
  "reason-internal": "ce programme a échoué",

  "fault-not-a-proof": "c'est un fichier d'une autre sorte",
  "fault-cut": "la fin manque",
  "fault-too-large": "trop grand",
  "fault-checksum": "la somme de contrôle ne correspond pas",
  "fault-other-network": "ils sont d'un autre réseau",
  "fault-link": "la chaîne est rompue",
  "fault-pow": "une preuve de travail manque",
  "fault-checkpoint": "un autre bloc se trouve à la place d'un bloc connu",
};

export type Key = keyof Table;

/** Kinds of documents, as the register names them. */
const kinds: Record<Language, Record<string, string>> = {
  en: {
    convocation: "convocation",
    agenda: "agenda",
    note: "explanatory note",
    draft: "draft",
    deliberation: "deliberation",
    minutes: "minutes",
    annex: "annex",
    act: "act",
  },
  fr: {
    convocation: "convocation",
    agenda: "ordre du jour",
    note: "note de synthèse",
    draft: "projet",
    deliberation: "délibération",
    minutes: "procès-verbal",
    annex: "annexe",
    act: "acte",
  },
};

/** The words of one language. */
export class Words {
  constructor(readonly language: Language) {}

  /** Returns a text with its values. French signs get the spaces that do not break. */
  say(key: Key, values: Values = {}): string {
    let text: string = (this.language === "fr" ? fr : en)[key];
    if (this.language === "fr") text = text.replace(/ (?=[:;?!»])/g, "\u00a0").replace(/'/g, "\u2019");
    return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
  }

  has(key: string): key is Key {
    return key in en;
  }

  /** The word for a kind of document. */
  kind(kind: string): string {
    const words = kinds[this.language];
    return Object.keys(words).includes(kind) ? words[kind] : "";
  }

  private get locale(): string {
    return this.language === "fr" ? "fr-FR" : "en-GB";
  }

  number(n: number): string {
    return new Intl.NumberFormat(this.language, { maximumSignificantDigits: 15 }).format(n);
  }

  /** A size in bytes, short. */
  size(bytes: number): string {
    const units = this.language === "fr" ? ["o", "ko", "Mo", "Go", "To"] : ["B", "kB", "MB", "GB", "TB"];
    let i = 0;
    for (; bytes >= 1000 && i < units.length - 1; i++) bytes /= 1000;
    return `${new Intl.NumberFormat(this.language, { maximumFractionDigits: i > 1 ? 1 : 0 }).format(bytes)}\u00a0${units[i]}`;
  }

  /** A point in time, in a time zone. Without one it is that of the visitor, which is named. */
  time(t: Date, timeZone?: string): string {
    const timeStyle = timeZone ? "medium" : "long";
    return new Intl.DateTimeFormat(this.locale, { dateStyle: "long", timeStyle, timeZone }).format(t);
  }

  /** The day of an RFC 3339 time, as it is written if it is none. */
  date(text: string): string {
    const t = new Date(text);
    if (isNaN(t.getTime())) return text;
    return new Intl.DateTimeFormat(this.locale, { dateStyle: "long", timeZone: "Europe/Paris" }).format(t);
  }
}

/**
 * A name from outside as it can be shown: signs that are not seen, or that turn the direction of
 * the text, are replaced.
 */
export function printable(name: string): string {
  const most = 200;
  const clean = name.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu, "\ufffd");
  return clean.length > most ? clean.slice(0, most - 1) + "…" : clean;
}
