import Kernels

/// A number for the eye: four significant digits, in 11 bytes at most.
func brief(_ x: Double) -> Text {
  guard x.isFinite, x != 0 else { return "\(x + 0)" }  // + 0: no -0
  var power = (Math.log(abs(x)) / Math.log(10)).rounded(.down) - 3
  let half = (-power / 2).rounded(.down)  // 10^-power may overflow
  let scaled = abs(x) * Math.pow(10, half) * Math.pow(10, -power - half)
  var digits = (scaled + 0.5).rounded(.down)  // to the nearest, without libm
  if digits == 10_000 { (digits, power) = (1000, power + 1) }
  let sign: StaticText = x < 0 ? "-" : ""
  if power > 3 { return "\(sign)\(nearest("\(Int(digits))e-3"))e+\(Int(power) + 3)" }
  return "\(sign)\(nearest("\(Int(digits))e\(Int(power))"))"
}

/// The number that a text says; its shortest form has no more digits.
private func nearest(_ text: Text) -> Double { Numbers.parse(text.bytes)?.value ?? .nan }
