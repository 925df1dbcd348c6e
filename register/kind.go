package register

import (
	"strings"
	"unicode"

	"ancre/register/store"

	"golang.org/x/text/unicode/norm"
)

// frenchKinds are the French words for kinds, folded: see fold.
var frenchKinds = map[string]store.Kind{
	"convocations":           store.Convocation,
	"ordredujour":            store.Agenda,
	"ordresdujour":           store.Agenda,
	"odj":                    store.Agenda,
	"notedesynthese":         store.Note,
	"notesdesynthese":        store.Note,
	"noteexplicative":        store.Note,
	"rapport":                store.Note,
	"rapports":               store.Note,
	"projet":                 store.Draft,
	"projets":                store.Draft,
	"projetdedeliberation":   store.Draft,
	"projetsdedeliberation":  store.Draft,
	"projetsdedeliberations": store.Draft,
	"deliberations":          store.Deliberation,
	"procesverbal":           store.Minutes,
	"procesverbaux":          store.Minutes,
	"pv":                     store.Minutes,
	"annexe":                 store.Annex,
	"annexes":                store.Annex,
	"acte":                   store.Act,
	"actes":                  store.Act,
	"arrete":                 store.Act,
	"arretes":                store.Act,
	"decision":               store.Act,
	"decisions":              store.Act,
	"agendas":                store.Agenda,
	"notes":                  store.Note,
	"drafts":                 store.Draft,
	"acts":                   store.Act,
}

// ParseKind reads a kind, in English or in French, whatever its case, its accents and the signs
// between its words are: "Procès-verbal" is store.Minutes.
func ParseKind(text string) (store.Kind, error) {
	folded := fold(text)
	for _, kind := range store.Kinds {
		if folded == string(kind) {
			return kind, nil
		}
	}
	if kind, ok := frenchKinds[folded]; ok {
		return kind, nil
	}
	names := make([]string, len(store.Kinds))
	for i, kind := range store.Kinds {
		names[i] = string(kind)
	}
	if text == "" {
		return "", invalid("a document needs a kind: one of %s", strings.Join(names, ", "))
	}
	return "", invalid("%q is not a kind of document: write one of %s, or its French word", text, strings.Join(names, ", "))
}

// fold returns the letters and digits of a text in lower case, without accents.
func fold(text string) string {
	var b strings.Builder
	for _, c := range norm.NFD.String(text) {
		if unicode.IsLetter(c) || unicode.IsDigit(c) {
			b.WriteRune(unicode.ToLower(c))
		}
	}
	return b.String()
}
