// The archive inside an ordinary Swift program: two Swift runtimes in one executable, each its own.
//
//   swiftc -O -I include Tests/C/test_archive.swift build/libravine.a -lm -o archive && ./archive
import CRavine

final class Parameters {
  let name: String
  var values: [Float]
  var gradients: [Float]
  init(_ name: String, _ count: Int) {
    self.name = name
    values = (0..<count).map { Float($0 % 7) }
    gradients = [Float](repeating: 0, count: count)
  }
  /// Of the sum of squares of (value - 1).
  func differentiate() { gradients = values.map { 2 * ($0 - 1) } }
}

func check(_ status: rvn_status, _ what: String) {
  guard status == RVN_OK else { fatalError("\(what): \(String(cString: rvn_last_error()))") }
}

func text(_ call: (UnsafeMutablePointer<CChar>?, Int, UnsafeMutablePointer<Int>?) -> rvn_status) -> String {
  var needed = 0
  check(call(nil, 0, &needed), "size of a text")
  var buffer = [CChar](repeating: 0, count: needed)
  check(call(&buffer, needed, nil), "text")
  return String(decoding: buffer.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

var optimizer: OpaquePointer?
check(rvn_optimizer_create("clip_norm(10) | adamw(0.1); bias: lr=x2", &optimizer), "create")
// A wrong recipe unwinds through the library's own Swift errors.
var wrong: OpaquePointer?
guard rvn_optimizer_create("adamv(1)", &wrong) == RVN_ERR_RECIPE, wrong == nil,
  String(cString: rvn_last_error()).contains("did you mean")
else { fatalError("a wrong recipe was taken") }

let model = ["weight": Parameters("weight", 5000), "bias": Parameters("bias", 33)]
var indices: [String: Int] = [:]
for (name, p) in model.sorted(by: { $0.key < $1.key }) {
  var shape = [Int64(p.values.count)]
  var index = 0
  let status = p.values.withUnsafeMutableBytes { data in
    name.withCString { cName in
      shape.withUnsafeMutableBufferPointer { s in
        var t = rvn_tensor()
        t.struct_size = MemoryLayout<rvn_tensor>.size
        t.name = cName
        t.data = data.baseAddress
        t.dtype = RVN_F32
        t.rank = 1
        t.shape = UnsafePointer(s.baseAddress)
        return rvn_optimizer_add(optimizer, &t, &index)
      }
    }
  }
  check(status, "add")
  indices[name] = index
}
precondition(indices == ["bias": 0, "weight": 1])

for step in 1...300 {
  for p in model.values { p.differentiate() }
  model["bias"]!.values.withUnsafeMutableBytes { check(rvn_optimizer_bind(optimizer, 0, $0.baseAddress, nil), "bind") }
  model["weight"]!.values.withUnsafeMutableBytes { check(rvn_optimizer_bind(optimizer, 1, $0.baseAddress, nil), "bind") }
  model["bias"]!.gradients.withUnsafeBytes { b in
    model["weight"]!.gradients.withUnsafeBytes { w in
      var grads: [UnsafeRawPointer?] = [b.baseAddress, w.baseAddress]
      grads.withUnsafeMutableBufferPointer { g in
        var input = rvn_step_input()
        input.struct_size = MemoryLayout<rvn_step_input>.size
        input.grads = UnsafePointer(g.baseAddress)
        input.grad_count = 2
        var report = rvn_step_report()
        report.struct_size = MemoryLayout<rvn_step_report>.size
        check(rvn_optimizer_step(optimizer, &input, &report), "step")
        precondition(report.step == UInt64(step))
      }
    }
  }
}
let worst = model.values.flatMap { $0.values }.map { abs($0 - 1) }.max()!
guard worst < 0.2 else { fatalError("did not converge: \(worst)") }

let recipe = text { rvn_optimizer_recipe(optimizer, $0, $1, $2) }
let words = Set(recipe.split(separator: " ").map(String.init))
guard words.contains("|"), recipe.hasPrefix("clip_norm(max=10") else { fatalError(recipe) }
guard text({ rvn_optimizer_plan(optimizer, $0, $1, $2) }).contains("2 phases") else { fatalError("plan") }
rvn_optimizer_destroy(optimizer)
rvn_shutdown()
print("ok", words.count, "words", [1, 2, 3].map { "\($0)" }.joined(separator: ","))
