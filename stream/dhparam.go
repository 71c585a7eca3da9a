package stream

import (
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
)

// Bounds of Diffie-Hellman parameters: below the lower one RFC 9325 §4.1 calls them weak, above the upper one the check
// takes minutes and no client would use them.
const (
	minDHBits  = 2048
	maxDHBits  = 8192
	maxDHFile  = 64 << 10
	dhRounds   = 8 // of Miller-Rabin, and one Baillie-PSW: the file is the admin's, not an enemy's
	dhPEMType  = "DH PARAMETERS"
	dhPEMType2 = "X9.42 DH PARAMETERS"
)

// CheckDHParam reads a file of Diffie-Hellman parameters and checks it as ParseDHParam does. It takes a second or so.
func CheckDHParam(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDHFile))
	if err != nil {
		return err
	}
	if _, err = ParseDHParam(data); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// ParseDHParam checks Diffie-Hellman parameters in PEM (PKCS #3): the prime must be safe, have 2048 bits or more, and the
// generator must be one. It returns the bits of the prime. Go offers no finite-field
// Diffie-Hellman (RFC 9325 §4.1), so that no connection uses them; a bad file is a mistake all the same.
func ParseDHParam(data []byte) (bits int, err error) {
	block, _ := pem.Decode(data)
	switch {
	case block == nil:
		return 0, errors.New("no PEM block: make one with openssl dhparam -out FILE 2048")
	case block.Type == dhPEMType2:
		return 0, errors.New("X9.42 parameters: PKCS #3 ones are needed (openssl dhparam -out FILE 2048)")
	case block.Type != dhPEMType:
		return 0, fmt.Errorf("PEM block %q, must be %q", block.Type, dhPEMType)
	}
	var params struct {
		P, G   *big.Int
		Length int `asn1:"optional"`
	}
	rest, err := asn1.Unmarshal(block.Bytes, &params)
	if err != nil || len(rest) > 0 {
		return 0, errors.New("not Diffie-Hellman parameters (PKCS #3)")
	}
	p, g, one := params.P, params.G, big.NewInt(1)
	bits = p.BitLen()
	switch {
	case p.Sign() <= 0:
		return 0, errors.New("the prime is not positive")
	case bits < minDHBits:
		return 0, fmt.Errorf("the prime has %d bits, must have %d or more", bits, minDHBits)
	case bits > maxDHBits:
		return 0, fmt.Errorf("the prime has %d bits, more than %d are of no use", bits, maxDHBits)
	case p.Bit(0) == 0 || !p.ProbablyPrime(dhRounds):
		return 0, errors.New("the modulus is not a prime")
	case !new(big.Int).Rsh(p, 1).ProbablyPrime(dhRounds): // (p-1)/2
		return 0, errors.New("the prime is not safe: (p-1)/2 is not a prime")
	case g.Cmp(one) <= 0 || g.Cmp(new(big.Int).Sub(p, one)) >= 0:
		return 0, errors.New("the generator is out of range: must be between 2 and p-2")
	}
	return bits, nil
}
