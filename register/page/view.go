package page

import (
	"ancre/internal/printable"
	"ancre/register/store"
)

// view is what the templates see.
type view struct {
	*Page
	Address     Address
	Links       Links
	Title       string // of the page, without the authority's name
	Description string // for search engines
	NoIndex     bool   // search engines are asked to leave it out
	Trail       []link // the pages above this one, from the home page on
	Network     string // of the register
	Part        Kind   // the part of the menu that the page belongs to; None: what its kind says
	Data        any    // what the page itself shows
}

// link is a link with its text.
type link struct {
	Text, URL string
	Lang      Lang
	Current   string // "page", or "true" for a part of the menu that the page belongs to
}

// To returns a link from this page.
func (v *view) To(a Address) string { return v.Links.To(v.Address, a) }

// trail sets the pages above this one: home, and then those of these kinds.
func (v *view) trail(above ...Kind) {
	for _, k := range append([]Kind{Home}, above...) {
		v.Trail = append(v.Trail, link{Text: v.T("nav." + k.String()), URL: v.To(v.Address.At(k))})
	}
}

// navKinds are the pages that templates link to by name.
var navKinds = map[string]Kind{
	"home": Home, "meetings": Meetings, "documents": Documents, "check": Check, "search": Search, "method": Method, "map": Map,
	"accessibility": Accessibility, "legal": Legal, "privacy": Privacy,
	"style": Style, "feed": Feed, "logo": Logo, "icon": Icon, "script": Script, "verifier": Verifier, "json": DataJSON, "csv": DataCSV,
}

// Nav returns the link to a page of this language by its name.
func (v *view) Nav(name string) string {
	to := v.Address.At(navKinds[name])
	if to.Kind == Logo {
		to.Ext = v.theme.logoExt()
	}
	return v.To(to)
}

// Asset is Nav. "base" is the folder in which everything is.
func (v *view) Asset(name string) string {
	if name != "base" {
		return v.Nav(name)
	}
	if !v.Links.Static {
		return "/"
	}
	if up := relative(v.Address.FileName(), ""); up != "" {
		return up
	}
	return "./"
}

// Kinds are kinds that templates need with an ID.
func (v *view) Kinds() map[string]Kind { return templateKinds }

var templateKinds = map[string]Kind{
	"Year": Year, "OTS": OTS, "Receipt": Receipt, "Attestation": Attestation, "AttestationFile": AttestationFile, "Permalink": Permalink,
}

// DocumentsLang is the language of the documents, and of their titles.
func (v *view) DocumentsLang() Lang { return v.lang }

// ToolLevel is the level of the first heading of the check tool.
func (v *view) ToolLevel() int {
	if v.Address.Kind == Check {
		return 2
	}
	return 3
}

// ToolDigest is the document with which the check tool compares a file; "": any of the register.
func (v *view) ToolDigest() string {
	if v.Address.Kind == Document {
		return v.Address.ID
	}
	return ""
}

// Has reports whether a page exists.
func (v *view) Has(name string) bool { return v.Links.Has(navKinds[name]) }

// DocumentLink is the address of the page of an entry.
func (v *view) DocumentLink(e *store.Entry) Address { return v.Address.DocumentOf(e.Digest) }

// siteName is the name of the register with that of the authority.
func (p *Page) siteName(l Lang) string {
	if name := p.name(l); name != "" {
		return say(l, "site.name") + " – " + printable.Line(name)
	}
	return say(l, "site.name")
}

// FullTitle is what browsers show in the tab.
func (v *view) FullTitle() string {
	if v.Address.Kind == Home || v.Title == "" {
		return v.siteName(v.Address.Lang)
	}
	return v.Title + " – " + v.siteName(v.Address.Lang)
}

// AuthorityName is the authority's name, as text.
func (v *view) AuthorityName() string { return printable.Line(v.name(v.Address.Lang)) }

// Logo reports whether the authority has a logo.
func (v *view) Logo() bool { return len(v.theme.Logo) > 0 }

// LogoText is the alternative of the logo. The name stands beside it, so it may be empty.
func (v *view) LogoText() string { return v.theme.LogoText }

// Translated is this page in the other language.
func (v *view) Translated() Address { return v.Address.In(v.Address.Lang.Other()) }

// Canonical is the whole address of this page, if the public address is known.
func (v *view) Canonical() string {
	if v.NoIndex {
		return ""
	}
	return v.Links.Absolute(v.Address)
}

// Alternates are this page in each language.
func (v *view) Alternates() []link {
	var list []link
	for _, l := range Langs {
		to := v.Address.In(l)
		url := v.Links.Absolute(to)
		if url == "" {
			url = v.To(to)
		}
		list = append(list, link{Lang: l, URL: url})
	}
	return list
}

// Menu is the main menu.
func (v *view) Menu() []link {
	var menu []link
	for _, k := range []Kind{Home, Meetings, Documents, Check, Search, Method} {
		if !v.Links.Has(k) {
			continue
		}
		m := link{Text: v.T("nav." + k.String()), URL: v.To(v.Address.At(k))}
		switch {
		case k == v.Address.Kind:
			m.Current = "page"
		case k == v.section():
			m.Current = "true"
		}
		menu = append(menu, m)
	}
	return menu
}

// section is the part of the menu to which this page belongs.
func (v *view) section() Kind {
	if v.Part != None {
		return v.Part
	}
	switch v.Address.Kind {
	case Year, Meeting:
		return Meetings
	case DocumentsMonth:
		return Documents
	case Document, Attestation:
		return Documents
	}
	return v.Address.Kind
}

// FootLinks are the links at the foot of each page.
func (v *view) FootLinks() []link {
	var list []link
	for _, k := range []Kind{Map, Accessibility, Legal, Privacy} {
		text := v.T("nav." + k.String())
		if k == Accessibility {
			text = v.T("foot.accessibility", v.T("conformity."+v.conformity()))
		}
		list = append(list, link{Text: text, URL: v.To(v.Address.At(k))})
	}
	list = append(list,
		link{Text: v.T("foot.feed"), URL: v.Nav("feed")},
		link{Text: v.T("foot.json"), URL: v.Nav("json")},
		link{Text: v.T("foot.csv"), URL: v.Nav("csv")})
	if site := v.authority.Site; site != "" {
		list = append(list, link{Text: v.T("foot.site"), URL: site})
	}
	for _, f := range v.authority.Links {
		text := f.Text
		if v.Address.Lang == English && f.TextEN != "" {
			text = f.TextEN
		}
		list = append(list, link{Text: printable.Line(text), URL: f.URL})
	}
	return list
}

// conformity is the word for the authority's conformity.
func (p *Page) conformity() string {
	if p.authority.Conformity == "" {
		return "non"
	}
	return p.authority.Conformity
}

// TestNetwork is the name of the network if its blocks are worth nothing, or else "".
func (v *view) TestNetwork() string {
	if v.Network == "" || v.Network == "mainnet" {
		return ""
	}
	return v.Network
}

// NetworkName is the name of a network for people.
func (v *view) NetworkName(network string) string {
	switch network {
	case "mainnet":
		return "Bitcoin"
	case "":
		return v.T("network.none")
	}
	return network
}

// listing is what the templates of lists see: the page, and the items.
type listing struct {
	View  *view
	Items any
}

// List is for the templates of lists.
func (v *view) List(items any) listing { return listing{v, items} }
