@testable import Ravine

/// Any text is either refused with a sentence, or a recipe that prints to itself and can be stepped.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>, _ size: Int) -> Int32 {
  let text = Array(UnsafeBufferPointer(start: data, count: size))
  check(text, "recipe") { (text) throws(RavineError) in try print(Parser.recipe(text)).bytes }
  check(text, "schedule") { (text) throws(RavineError) in
    let schedule = try StandaloneSchedule.make(text)
    for step in [0, 1, 2, 1000, 1 << 53, .max] as [UInt64] {
      _ = try schedule.value(at: step)
    }
    return try schedule.text().bytes
  }
  check(text, "patterns") { (text) throws(RavineError) in print(try Parser.patterns(text)).bytes }
  step(text)
  return 0
}

/// The canonical form of what is accepted must be its own canonical form.
private func check(
  _ text: [UInt8], _ title: Text, _ canonical: ([UInt8]) throws(RavineError) -> [UInt8]
) {
  let first: [UInt8]
  do throws(RavineError) { first = try canonical(text) } catch {
    precondition(error.message.bytes.starts(with: title.bytes), "the sentence says what is wrong")
    precondition(malformedUTF8(error.message.bytes) == nil, "the sentence is UTF-8")
    return
  }
  do throws(RavineError) {
    let second = try canonical(first)
    precondition(second == first, "printing what was printed gives the same")
  } catch {
    fatalError(
      "what was printed is refused: \(String(decoding: error.message.bytes, as: UTF8.self))")
  }
}

/// Creates an optimizer with some tensors, and steps it as far as the recipe lets it.
private func step(_ text: [UInt8]) {
  guard let optimizer = try? Optimizer.make(text) else { return }
  _ = try? optimizer.get(("*:lr" as Text).bytes)
  let data = UnsafeMutablePointer<Float>.allocate(capacity: 24)
  defer { data.deallocate() }
  data.initialize(repeating: 0.5, count: 24)
  let shape: [Int64] = [2, 3]
  shape.withUnsafeBufferPointer { shape in
    for (i, name) in ["a", "bias", "layer.w"].enumerated() {
      name.withCString {
        let description = TensorDescription(
          name: $0, data: data + 6 * i, grad: data + 18, type: 1, gradType: 0, rank: Int32(i),
          shape: shape.baseAddress)
        _ = try? optimizer.add(description)
      }
    }
  }
  _ = try? optimizer.describe()
  let estimates = [UnsafeRawPointer?](repeating: UnsafeRawPointer(data + 18), count: 3)
  estimates.withUnsafeBufferPointer { try? optimizer.takeCurvature($0, products: true) }
  for _ in 0..<2 { _ = try? optimizer.step() }
  for key in ["a:lr", "*:momentum"] as [Text] { _ = try? optimizer.get(key.bytes) }
  try? optimizer.override(("a" as Text).bytes, text)
  try? optimizer.set(text, 0.5)
  _ = try? optimizer.step()
}
