/// A number for people: three digits, "0.0123", "412", "1.23e-05".
func short(_ x: Double) -> Text {
  if x.isNaN { return "nan" }
  if x.isInfinite { return x < 0 ? "-inf" : "inf" }
  if x == 0 { return "0" }
  var exponent = 0, m = x.magnitude
  while m >= 10 {
    m /= 10
    exponent += 1
  }
  while m < 1 {
    m *= 10
    exponent -= 1
  }
  var digits = Int(m * 100 + 0.5)
  if digits >= 1000 {
    digits /= 10
    exponent += 1
  }
  let sign: Text = x < 0 ? "-" : ""
  if exponent >= -3, exponent < 6 { return "\(sign)\(plain(digits, exponent))" }
  let whole: Text = "\(digits / 100)"
  let rest = fraction(digits % 100, places: 2)
  let size = exponent.magnitude
  return
    "\(sign)\(whole)\(rest)e\(exponent < 0 ? "-" as Text : "+")\(size < 10 ? "0" as Text : "")\(size)"
}

/// digits is d.dd times 10 to the power exponent.
private func plain(_ digits: Int, _ exponent: Int) -> Text {
  if exponent >= 2 {
    var value = digits
    for _ in 2..<max(2, exponent) { value *= 10 }
    return "\(value)"
  }
  var scale = 100
  for _ in 0..<max(0, exponent) { scale /= 10 }
  if exponent >= 0 {
    return "\(digits / scale)\(fraction(digits % scale, places: 2 - exponent))"
  }
  return "0\(fraction(digits, places: 2 - exponent))"
}

/// ".0123", without zeros at the end; nothing for 0.
private func fraction(_ value: Int, places: Int) -> Text {
  if value == 0 { return "" }
  var value = value, places = places
  while value % 10 == 0 {
    value /= 10
    places -= 1
  }
  var out: [UInt8] = []
  for _ in 0..<places {
    out.append(48 + UInt8(value % 10))
    value /= 10
  }
  out.append(46)
  return Text([UInt8](out.reversed()))
}
