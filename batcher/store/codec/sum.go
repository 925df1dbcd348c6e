package codec

import "hash/crc32"

// SumSize is how many bytes a checksum takes.
const SumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum returns the checksum of data: CRC-32C (Castagnoli).
func Sum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

// AddSum returns the checksum of what sum is of, followed by data.
func AddSum(sum uint32, data []byte) uint32 { return crc32.Update(sum, castagnoli, data) }

// PlacedSum returns the checksum of a part of a file that has many. It depends on where the part
// should be: one in the place of another is wrong.
func PlacedSum(file uint64, part uint32, data []byte) uint32 {
	return AddSum(uint32(file)*0x9e3779b9^part, data)
}
