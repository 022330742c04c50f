#[test]
fn zz() {
    for x in ["<r a='1\r\n2'/>", "<r>a\rb</r>", "<r>\r\nx&#13;y</r>", "<r a='1\r2\n3'/>", "<r>x&#xD;&#xA;\r\n</r>\r\n","<r>x&#13;\ny</r>","<r a='x&#13;\ny'/>","<r><![CDATA[a\r\nb\rc]]></r>","<r><?p a\r\nb?></r>"] {
        println!("{:?} -> {:?}", x, String::from_utf8(bergshamra_c14n::canonicalize::<&str>(x, bergshamra_c14n::C14nMode::Inclusive, None, &[]).unwrap()).unwrap());
    }
}
