package stanza

import "errors"

// ErrMore says that the bytes so far hold no complete element.
var ErrMore = errors.New("stanza: need more bytes")

// ErrStreamEnd says that the peer sent </stream:stream>.
var ErrStreamEnd = errors.New("stanza: end of stream")

// SyntaxError is a violation for which the stream must end; Condition is the stream error to send (RFC 6120 §4.9.3):
// not-well-formed, bad-format (text between stanzas), restricted-xml, bad-namespace-prefix, policy-violation (limits).
type SyntaxError struct {
	Condition string
	Reason    string // for people; says nothing of our insides
}

func (e *SyntaxError) Error() string { return e.Condition + ": " + e.Reason }

// All the verdicts of the scanner. They are made once, so that a hostile peer's stream ends without an allocation.
var (
	errUTF8         = &SyntaxError{"not-well-formed", "not UTF-8, or a character that XML does not know"} // RFC 6120 §11.6
	errControl      = &SyntaxError{"not-well-formed", "control character"}
	errName         = &SyntaxError{"not-well-formed", "bad name"}
	errTag          = &SyntaxError{"not-well-formed", "bad tag"}
	errEndTag       = &SyntaxError{"not-well-formed", "end tag does not match"}
	errAttribute    = &SyntaxError{"not-well-formed", "bad attribute"}
	errSpace        = &SyntaxError{"not-well-formed", "white space missing between attributes"}
	errDuplicate    = &SyntaxError{"not-well-formed", "attribute given twice"}
	errLess         = &SyntaxError{"not-well-formed", "< in an attribute"}
	errReference    = &SyntaxError{"not-well-formed", "bad reference"}
	errCDATAEnd     = &SyntaxError{"not-well-formed", "]]> in text"}
	errDeclaration  = &SyntaxError{"not-well-formed", "bad namespace declaration"}
	errSecondStream = &SyntaxError{"not-well-formed", "second stream header"}
	errUnfinished   = &SyntaxError{"not-well-formed", "unexpected end"}
	errTrailing     = &SyntaxError{"not-well-formed", "more than one element"}
	errText         = &SyntaxError{"bad-format", "text between stanzas"}
	errEntity       = &SyntaxError{"restricted-xml", "entity"} // RFC 6120 §11.1
	errComment      = &SyntaxError{"restricted-xml", "comment"}
	errDTD          = &SyntaxError{"restricted-xml", "document type"}
	errInstruction  = &SyntaxError{"restricted-xml", "processing instruction"}
	errPrefix       = &SyntaxError{"bad-namespace-prefix", "prefix not declared"}
	errContentNS    = &SyntaxError{"bad-namespace-prefix", "prefix on a stanza"} // RFC 6120 §4.8.5
	errSize         = &SyntaxError{"policy-violation", "element too big"}        // RFC 6120 §4.9.3.14
	errDepth        = &SyntaxError{"policy-violation", "nested too deep"}
	errElements     = &SyntaxError{"policy-violation", "too many elements"}
	errAttrs        = &SyntaxError{"policy-violation", "too many attributes"}
	errNamespaces   = &SyntaxError{"policy-violation", "too many namespaces"}
	errLongName     = &SyntaxError{"policy-violation", "name too long"}
	errLongValue    = &SyntaxError{"policy-violation", "attribute too long"}
)
