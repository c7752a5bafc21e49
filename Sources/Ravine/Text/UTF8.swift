/// The first place where bytes are not well-formed UTF-8; nil: they are.
func malformedUTF8<S: RandomAccessCollection<UInt8>>(_ s: S) -> Int? where S.Index == Int {
  var i = 0
  while i < s.count {
    guard let length = characterLength(s, i) else { return i }
    i += length
  }
  return nil
}

/// Bytes of the character at i, if it is well-formed (Unicode 15, table 3-7).
private func characterLength<S: RandomAccessCollection<UInt8>>(_ s: S, _ i: Int) -> Int?
where S.Index == Int {
  let first = s[i]
  if first < 0x80 { return 1 }
  let (length, low, high): (Int, UInt8, UInt8)
  switch first {
  case 0xc2...0xdf: (length, low, high) = (2, 0x80, 0xbf)
  case 0xe0: (length, low, high) = (3, 0xa0, 0xbf)
  case 0xed: (length, low, high) = (3, 0x80, 0x9f)
  case 0xe1...0xef: (length, low, high) = (3, 0x80, 0xbf)
  case 0xf0: (length, low, high) = (4, 0x90, 0xbf)
  case 0xf1...0xf3: (length, low, high) = (4, 0x80, 0xbf)
  case 0xf4: (length, low, high) = (4, 0x80, 0x8f)
  default: return nil
  }
  guard i + length <= s.count, s[i + 1] >= low, s[i + 1] <= high else { return nil }
  for k in 2..<max(2, length) where s[i + k] & 0xc0 != 0x80 { return nil }
  return length
}
