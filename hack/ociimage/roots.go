package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"iter"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// authorities are those that Mozilla trusts for servers, as PEM, from the module at the version of go.mod. One that is
// trusted with reservations (up to a date, say) is left out: a file of certificates has no place for these.
func authorities(roots iter.Seq[bundle.Root]) ([]byte, error) {
	var out bytes.Buffer
	for root := range roots {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	if out.Len() == 0 {
		return nil, fmt.Errorf("the module holds no authority")
	}
	return out.Bytes(), nil
}
