package attestation

import "fmt"

const frenchTime = "02/01/2006 15:04:05"

var french = words{
	title: "Attestation d’antériorité",
	qr:    "Page publique de ce document",
	verdict: func(f Facts) string {
		switch {
		case f.anchored() && f.test():
			return fmt.Sprintf("Essai sur le réseau %s, sans valeur de preuve"+nbsp+": ce fichier existait avant le bloc %s de ce réseau.", f.Network, f.height(frenchCount))
		case f.anchored():
			return fmt.Sprintf("Ce fichier existait, à l’octet près, avant le bloc %s de la chaîne Bitcoin.", f.height(frenchCount))
		case f.inBlock():
			return fmt.Sprintf("Preuve en attente"+nbsp+": l’empreinte de ce fichier est dans le bloc %s, qui n’est pas encore définitif.", f.height(frenchCount))
		}
		return "Preuve en attente" + nbsp + ": l’empreinte de ce fichier n’est pas encore inscrite dans un bloc de Bitcoin."
	},
	document: func(f Facts) Section {
		s := Section{Heading: "Le document", Rows: rows(
			Row{Name: "Titre", Value: f.Title},
			Row{Name: "Nature", Value: f.Kind},
			Row{Name: "Numéro", Value: f.Number},
			Row{Name: "Séance", Value: f.Meeting},
			Row{Name: "Autorité", Value: f.Authority},
			Row{Name: "Nom du fichier", Value: f.FileName, Exact: true},
			Row{Name: "Taille", Value: sized(f, frenchCount, "octets")},
			Row{Name: "Empreinte SHA-256", Value: f.Digest.String(), Exact: true},
			Row{Name: "En ligne depuis le", Value: local(f.OnlineSince, f, frenchTime)},
		)}
		if isReplaced(f) {
			s.Paragraphs = []string{fmt.Sprintf("Ce document a été remplacé le %s par celui dont l’empreinte est %s.", local(f.ReplacedAt, f, frenchTime), f.ReplacedBy)}
		}
		return s
	},
	proof: func(f Facts, txid string) Section {
		s := Section{Heading: "La preuve", Rows: rows(
			Row{Name: "Bloc", Value: f.height(frenchCount)},
			Row{Name: "Identifiant du bloc", Value: f.Proof.BlockHash, Exact: true},
			Row{Name: "Heure du bloc (UTC)", Value: utc(f.Proof.BlockTime)},
			Row{Name: "Heure du bloc (locale)", Value: local(f.Proof.BlockTime, f, frenchTime)},
			Row{Name: "Transaction", Value: txid, Exact: true},
			Row{Name: "Inscription au registre", Value: local(f.Proof.AddedAt, f, frenchTime)},
		)}
		if f.inBlock() {
			s.Paragraphs = []string{"Le rang du bloc est certain. Son heure est celle que déclare celui qui l’a produit" + nbsp +
				": elle peut s’écarter de l’heure exacte, de deux heures au plus vers l’avant."}
		} else {
			s.Paragraphs = []string{"La preuve sera complète quand une transaction qui contient l’empreinte, mêlée à d’autres, sera dans un bloc définitif. Cela prend en général quelques heures. Une attestation demandée ensuite nommera ce bloc."}
		}
		return s
	},
	meaning: func(Facts) Section {
		return Section{Heading: "Ce que cela prouve, et ne prouve pas", Points: []string{
			"Cela prouve qu’un fichier qui a exactement cette empreinte existait avant ce bloc, et n’a pas changé depuis. Modifier un seul octet change l’empreinte.",
			"Cela ne prouve ni qui a écrit le document, ni qu’il a été envoyé ou reçu, ni que son contenu est exact.",
			"Cela ne repose sur la parole de personne" + nbsp + ": la preuve se vérifie avec la chaîne Bitcoin seule, même si l’autorité, ce site et ses logiciels disparaissent.",
			"Ce n’est pas un horodatage électronique qualifié au sens de l’article 42 du règlement (UE) nº" + nbsp + "910/2014 (eIDAS). Selon son article 41, paragraphe 1, un horodatage ne peut être refusé comme preuve en justice au seul motif qu’il n’est pas qualifié.",
		}}
	},
	check: func(f Facts) Section {
		return Section{Heading: "Comment vérifier sans nous", Numbered: true, Points: []string{
			fmt.Sprintf("Calculez l’empreinte du fichier et comparez-la à celle de cette page"+nbsp+": sha256sum %s", shellName(f.FileName)),
			fmt.Sprintf("Enregistrez la preuve sous le nom %s, à côté du fichier. Elle est jointe à la version PDF de cette attestation, et proposée sur la page du document.", proofName(f)),
			"Vérifiez-la avec un logiciel au choix" + nbsp + fmt.Sprintf(": ancre verify %s, ou ots verify %s (OpenTimestamps). Aucun des deux n’a besoin de ce site.", shellName(proofName(f)), shellName(proofName(f))),
			"Ou ouvrez l’outil de contrôle dans un navigateur (" + f.Verifier + "). Il calcule tout sur votre ordinateur, et s’enregistre pour servir hors ligne.",
		}}
	},
}
