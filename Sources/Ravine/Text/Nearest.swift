/// "; did you mean 'x'?" for the known name nearest to one that is not known, if one is near.
func suggestion(for name: Text, among known: [Text]) -> Text {
  var best = Text(), distance = Int.max
  for candidate in known {
    let d = editDistance(lowercase(name.bytes), lowercase(candidate.bytes))
    if d < distance { (best, distance) = (candidate, d) }
  }
  let shorter = min(name.bytes.count, best.bytes.count)
  let near = distance <= max(1, shorter / 2) && distance < max(shorter, 2)
  return near ? "; did you mean '\(best)'?" : Text()
}

private func lowercase(_ text: [UInt8]) -> [UInt8] {
  var out = text
  for i in 0..<out.count where out[i] >= 65 && out[i] <= 90 { out[i] += 32 }
  return out
}

/// How many letters must be inserted, removed, replaced or swapped with their neighbour.
func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
  guard a.count <= 64, b.count <= 64 else { return Int.max }
  var before: [Int] = [], last = Array(0...b.count)
  for i in 0..<a.count {
    var row = [i + 1]
    for j in 0..<b.count {
      var d = min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
      if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { d = min(d, before[j - 1] + 1) }
      row.append(d)
    }
    (before, last) = (last, row)
  }
  return last[b.count]
}
